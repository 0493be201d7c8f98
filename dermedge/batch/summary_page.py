"""One HTML page about many pictures: counts, decisions, the cases that a person should see first, what was rejected.

No script, nothing loaded from elsewhere; the pictures themselves are linked, not copied.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from dermedge_runtime.classifier import Classifier
from dermedge_runtime.commands.infer_report import STYLE
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import UsageError
from dermedge_runtime.files import write_text
from dermedge_runtime.result_row import Row

from .summary import WORST, Summary

_MORE_STYLE = """
.cases td { border-top: 1px solid #e4e4e7; vertical-align: top; padding: .3rem .6rem .3rem 0; }
.cases ul { margin: 0; padding-left: 1.1rem; } .cases td:first-child { overflow-wrap: anywhere; min-width: 8rem; }
.badge { border-radius: 4px; padding: 0 .4rem; background: #e4e4e7; } .badge.refer { background: #f6d5d2; }
.badge.unsure { background: #fbe7b8; } .badge.routine { background: #d5ead6; }
"""


def check_report(path: Path) -> None:
    """See that a page can be written under a name.

    :raises UsageError: it does not end as a page does.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--report writes an HTML page; give it a name that ends in .html, got {shown(str(path))}.")


def write_summary_page(path: Path, summary: Summary, classifier: Classifier) -> None:
    """Write the page.

    :raises OSError: it cannot be written.
    """
    write_text(path, summary_page(summary, classifier, path.parent))


def summary_page(summary: Summary, classifier: Classifier, folder: Path) -> str:
    """Make the page.

    :param folder: where the page will lie, from which its links are seen.
    """
    spec = classifier.spec
    names = {code: f"{spec.class_names.get(code, code)} ({code})" for code in spec.classes}
    cases = summary.worst_first()
    more = summary.answered - len(cases)
    heading = f"The {len(cases)} cases to see first" if more > 0 else "Cases, the worst first"
    note = f'<p class="small">{more:,} more are only in the results.</p>' if more > 0 else ""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{summary.rows:,} pictures - dermedge</title><style>{STYLE}{_MORE_STYLE}</style></head><body>",
        f"<h1>{summary.rows:,} pictures</h1>",
        f'<p class="notice">{escape(spec.intended_use)}</p>',
        f"<p>{summary.answered:,} answered, {summary.rejected:,} rejected.</p>",
        _counts("Decisions", summary.decisions),
        _counts("Predicted classes", {names[code]: count for code, count in summary.classes.most_common()}),
        f"<h2>{heading}</h2>" if cases else "",
        _cases(cases, summary, names, folder),
        note,
        _rejected(summary, folder),
        "<h2>Model</h2>",
        _details(classifier),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _counts(title: str, counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    rows = [
        f'<tr><td>{escape(name)}</td><td class="bar"><div style="width:{100 * count / total:.1f}%"></div></td>'
        f'<td class="number">{count:,}</td><td class="number">{count / total:.1%}</td></tr>'
        for name, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
    return f"<h2>{title}</h2><table>{''.join(rows)}</table>" if rows else ""


def _cases(cases: Sequence[Row], summary: Summary, names: Mapping[str, str], folder: Path) -> str:
    if not cases:
        return ""
    urgent = summary.spec.decision is not None and bool(summary.spec.decision.urgent)
    rows = []
    for row in cases:
        decision = str(row.get("decision") or "")
        badge = f'<span class="badge {escape(decision)}">{escape(decision)}</span>' if decision else ""
        reasons = row.get("reasons") or row.get("picture_faults")
        told = "".join(f"<li>{escape(reason)}</li>" for reason in reasons) if isinstance(reasons, list) else ""
        sure = float(str(row.get(f"probability_{row['label']}") or 0))
        rows.append(
            f"<tr><td>{_link(row, folder)}</td><td>{badge}</td>"
            f"<td>{escape(names.get(str(row['label']), str(row['label'])))} {sure:.1%}</td>"
            f'<td class="number">{summary.urgent_probability(row):.1%}</td><td><ul>{told}</ul></td></tr>'
        )
    column = "Urgent" if urgent else "Probability"
    head = f'<tr><th>Picture</th><th>Decision</th><th>Class</th><th class="number">{column}</th><th>Why</th></tr>'
    return f'<table class="cases">{head}{"".join(rows)}</table>'


def _rejected(summary: Summary, folder: Path) -> str:
    if not summary.rejected:
        return ""
    rows = "".join(
        f"<tr><td>{_link(row, folder)}</td><td>{escape(shown(str(row['error'])))}</td></tr>"
        for row in summary.first_rejected
    )
    more = summary.rejected - len(summary.first_rejected)
    note = f'<p class="small">{more:,} more are only in the results.</p>' if more else ""
    return f'<h2>Rejected</h2><table class="cases"><tr><th>Picture</th><th>Why</th></tr>{rows}</table>{note}'


def _link(row: Row, folder: Path) -> str:
    file = str(row["file"]).removeprefix("'") if str(row["file"])[:2] in ("'=", "'+", "'-", "'@") else str(row["file"])
    frame = f", frame {int(float(str(row['frame'])))}" if row.get("frame") else ""
    patient = f'<br><span class="small">{escape(shown(str(row["id"])))}</span>' if row.get("id") else ""
    where = os.path.relpath(file, folder)
    address = quote(where.replace(os.sep, "/").encode("utf-8", "surrogateescape"))
    return f'<a href="{escape(address)}">{escape(shown(file))}</a>{frame}{patient}'


def _details(classifier: Classifier) -> str:
    rows = {
        "Model": f"{classifier.name}, {classifier.spec.fusion}, {classifier.spec.precision}",
        "SHA-256": classifier.sha256,
        "Device": f"{classifier.device} ({classifier.provider}, {classifier.provider_version}), {classifier.hardware}",
        "Licence": classifier.spec.licence,
        "Cases shown": f"at most {WORST}: to refer first, then unsure, each by the probability of urgent diagnoses",
    }
    cells = "".join(f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in rows.items())
    return f'<table class="details">{cells}</table>'
