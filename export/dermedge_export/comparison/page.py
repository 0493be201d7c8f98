"""The comparison as one self-contained HTML page: tables beside the paper's, plots, reasons, settings.

No script, no link, nothing loaded from elsewhere. A cell without a measurement says "missing".
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from dermedge import __version__

from .summary import Record
from .words import how_measured, why_they_differ

MISSING = "missing"
_NAMES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "specificity": "specificity",
    "balanced_accuracy": "balanced accuracy",
    "auc": "AUC",
}
_BESIDE = ("accuracy", "precision", "recall", "f1", "specificity")
_TITLES = {
    "grouped": "Protocol grouped: by lesion, 70/15/15, without dx_type",
    "paper": "Protocol paper: random images, 70/30, with dx_type (leaks)",
}
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1c1e; background: #fff; margin: 0 auto; max-width: 84rem;
  padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; } p, li { max-width: 60rem; }
.notice { background: #fff4d6; border-left: 4px solid #d49b00; padding: .6rem 1rem; margin: 1rem 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-top: 1px solid #e4e4e7; text-align: right; white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; white-space: normal; max-width: 9rem; }
td:first-child, th:first-child, td.text { text-align: left; }
td.paper, th.paper { color: #8a3a12; background: #fdf4ee; } td.missing { color: #9a9aa0; }
.plots { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; flex: 1 1 30rem; max-width: 52rem; }
img { max-width: 100%; height: auto; } figcaption { color: #555; font-size: .9rem; }
"""


def html_page(record: Record, plots: Mapping[str, Mapping[str, Path]]) -> str:
    """Make the page.

    :param plots: PNG by caption, by protocol.
    """
    measured = sum(len(row["seeds"]) for row in record["rows"])
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Fusions compared - dermedge</title><style>{_STYLE}</style></head><body>",
        "<h1>Fusions compared with the paper's tables 6 and 7</h1>",
        f"<p>{measured} trainings measured. Columns of the paper are tinted and hold what it prints;"
        " its conditions are those of the protocol <i>paper</i> at best.</p>",
        '<p class="notice"><strong>Research use only.</strong> Not a medical device, not for diagnosis.</p>',
    ]
    for protocol, title in _TITLES.items():
        rows = [row for row in record["rows"] if row["protocol"] == protocol]
        parts += [f"<h2>{escape(title)}</h2>", "<h3>Beside the paper</h3>", _beside_paper(rows)]
        parts += ["<h3>What the paper does not tell</h3>", _ours(rows)]
        parts += [_best(record["best"][protocol]), _figures(plots.get(protocol, {}))]
    parts += ["<h2>Why the figures differ from the paper's</h2>", _list(why_they_differ(record))]
    parts += ["<h2>How they were measured</h2>", _list(how_measured(record))]
    parts += [
        "<h2>Settings</h2>",
        _settings(record["settings"]),
        f"<p>dermedge {escape(__version__)}</p></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _beside_paper(rows: Sequence[Record]) -> str:
    head = ["model", "image branch", "seeds"]
    for name in _BESIDE:
        head += [_NAMES[name], "paper"]
    lines = [_line([_cell(text, "paper" if text == "paper" else "", tag="th") for text in head])]
    for row in rows:
        cells = _names(row)
        for name in _BESIDE:
            cells += [_spread(row["figures"][name]), _paper(row["paper"], name)]
        lines.append(_line(cells))
    return _table(lines)


def _ours(rows: Sequence[Record]) -> str:
    head = ["model", "image branch", "seeds", "balanced accuracy", "validation balanced accuracy", "AUC"]
    head += [f"{name} minus images alone, points [95 %]" for name in ("accuracy", "balanced accuracy")]
    head += ["parameters", "INT8 MB", "INT8 latency ms", "INT8 gate: agreement, change of balanced accuracy"]
    lines = [_line([_cell(text, tag="th") for text in head])]
    for row in rows:
        figures, difference = row["figures"], row["difference"]
        alone = (row["fusion"], row["image_branch"]) == ("image_only", "own")
        cells = [_spread(figures["balanced_accuracy"]), _validation(row), _spread(figures["auc"])]
        for name in ("accuracy", "balanced_accuracy"):
            cells.append(_cell("-") if alone else _difference(difference, name))
        parameters = row["parameters"]
        cells += [_cell(f"{parameters:,}") if parameters is not None else _missing(), *_int8(row)]
        lines.append(_line([*_names(row, papers=False), *cells]))
    return _table(lines)


def _names(row: Record, *, papers: bool = True) -> list[str]:
    name = escape(row["fusion"]) + (f" <small>({escape(row['name'])})</small>" if papers and row["paper"] else "")
    branch = row["image_branch"] if row["seeds"] or row["begun_seeds"] else "-"
    return [f"<td>{name}</td>", _cell(branch, "text"), _seeds(row)]


def _seeds(row: Record) -> str:
    said = [", ".join(map(str, row["seeds"]))] if row["seeds"] else []
    absent = [seed for seed in row["missing_seeds"] if seed not in row["begun_seeds"]]
    if row["begun_seeds"]:
        said.append(f"{', '.join(map(str, row['begun_seeds']))} begun")
    if absent and said:
        said.append(f"{', '.join(map(str, absent))} {MISSING}")
    return _cell("; ".join(said), "text") if said else _missing()


def _spread(found: Record | None) -> str:
    if found is None:
        return _missing()
    deviation = "" if found["std"] is None else f" ± {found['std']:.3f}"
    return _cell(f"{found['mean']:.3f}{deviation}")


def _validation(row: Record) -> str:
    if row["seeds"] and row["validation_balanced_accuracy"] is None:
        return _cell("no validation split")
    return _spread(row["validation_balanced_accuracy"])


def _paper(paper: Record | None, name: str) -> str:
    if paper is None or paper[name] is None:
        return _cell("-", "paper")
    return _cell(f"{paper['accuracy_percent']} %" if name == "accuracy" else f"{paper[name]:.2f}", "paper")


def _difference(found: Record | None, name: str) -> str:
    if found is None:
        return _missing()
    points = {key: 100 * found[name][key] for key in ("value", "low", "high")}
    return _cell(f"{points['value']:+.1f} [{points['low']:+.1f}, {points['high']:+.1f}]")


def _int8(row: Record) -> list[str]:
    found, latency = row["int8"], row["latency"]
    if found is None:
        return [_missing(), _missing(), _missing()]
    if "refused" in found:
        return [_missing(), _missing(), f'<td class="text" title="{escape(found["refused"])}">refused</td>']
    parity = found["parity"]
    drop = 100 * (parity["balanced_accuracy"] - parity["balanced_accuracy_reference"])
    gate = f"{parity['agreement']:.1%}, {drop:+.1f} points"
    timed = _missing() if latency is None else _cell(f"{latency['median_ms']:.1f}")
    return [_cell(f"{found['bytes'] / 1e6:.1f}"), timed, _cell(gate, "text")]


def _best(best: Record | None) -> str:
    if best is None:
        return "<p>No confusion matrix: nothing to choose from.</p>"
    return (
        f"<p>Shown below: <b>{escape(best['fusion'])}</b> (image branch {escape(best['image_branch'])}), seed"
        f" {best['seed']}, for {escape(best['why'])}.</p>"
    )


def _figures(plots: Mapping[str, Path]) -> str:
    figures = []
    for caption, path in plots.items():
        data, text = base64.b64encode(path.read_bytes()).decode(), escape(caption)
        figures.append(
            f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
        )
    return f'<div class="plots">{"".join(figures)}</div>'


def _settings(settings: Record) -> str:
    lines = [_line([_cell(name), _cell(value, "text")]) for name, value in settings["common"].items()]
    for name, by_value in settings["differing"].items():
        said = "; ".join(f"{value} in {', '.join(rows)}" for value, rows in by_value.items())
        lines.append(_line([_cell(name), _cell(f"differs: {said}", "text")]))
    return _table(lines) if lines else f"<p>{MISSING}</p>"


def _list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _table(lines: Sequence[str]) -> str:
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _line(cells: Sequence[str]) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _cell(text: str, kind: str = "", *, tag: str = "td") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f"<{tag}{attribute}>{escape(text)}</{tag}>"


def _missing() -> str:
    return _cell(MISSING, "missing")
