"""The comparison as one self-contained HTML page: tables beside the paper's, plots, reasons, settings.

No script, no link, nothing loaded from elsewhere. A table has the rows that are measured, and the columns that one of
them has; what was asked for and is not there stands in a line of its own.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from dermedge import __version__

from .summary import Record
from .why_figures_differ import how_measured, missing_lines, why_they_differ

_NOTHING = "-"
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
td.paper, th.paper { color: #8a3a12; background: #fdf4ee; }
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
        if rows:
            parts += [f"<h2>{escape(title)}</h2>", *_protocol(record, protocol, rows, plots.get(protocol, {}))]
    if not record["rows"]:
        parts.append("<p>Nothing is measured yet.</p>")
    parts += ["<h2>Why the figures differ from the paper's</h2>", _list(why_they_differ(record))]
    parts += ["<h2>How they were measured</h2>", _list(how_measured(record))]
    parts += [
        "<h2>Settings</h2>",
        _settings(record["settings"]),
        f"<p>dermedge {escape(__version__)}</p></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _protocol(record: Record, protocol: str, rows: Sequence[Record], plots: Mapping[str, Path]) -> list[str]:
    parts = []
    if absent := missing_lines(record, protocol):
        parts += ["<p>Not measured yet:</p>", _list([escape(line) for line in absent])]
    if measured := [row for row in rows if row["seeds"]]:
        parts += ["<h3>Beside the paper</h3>", _beside_paper(measured)]
        parts += ["<h3>What the paper does not tell</h3>", _ours(measured)]
        parts += [_best(record["best"][protocol]), _figures(plots)]
    return parts


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
    columns = [
        ("balanced accuracy", [_spread(row["figures"]["balanced_accuracy"]) for row in rows]),
        ("validation balanced accuracy", [_spread(row["validation_balanced_accuracy"]) for row in rows]),
        ("AUC", [_spread(row["figures"]["auc"]) for row in rows]),
        *(
            (
                f"{_NAMES[name]} minus images alone, points [95 %]",
                [_difference(row["difference"], name) for row in rows],
            )
            for name in ("accuracy", "balanced_accuracy")
        ),
        ("parameters", [_cell(f"{row['parameters']:,}") for row in rows]),
        ("INT8 MB", [_int8_size(row) for row in rows]),
        ("INT8 latency ms", [_latency(row) for row in rows]),
        ("INT8 gate: agreement, change of balanced accuracy", [_gate(row) for row in rows]),
    ]
    columns = [(name, cells) for name, cells in columns if set(cells) != {_cell(_NOTHING)}]
    head = ["model", "image branch", "seeds", *(name for name, _ in columns)]
    lines = [_line([_cell(text, tag="th") for text in head])]
    for place, row in enumerate(rows):
        lines.append(_line([*_names(row, papers=False), *(cells[place] for _, cells in columns)]))
    return _table(lines)


def _names(row: Record, *, papers: bool = True) -> list[str]:
    name = escape(row["fusion"]) + (f" <small>({escape(row['name'])})</small>" if papers and row["paper"] else "")
    return [f"<td>{name}</td>", _cell(row["image_branch"], "text"), _cell(", ".join(map(str, row["seeds"])), "text")]


def _spread(found: Record | None) -> str:
    if found is None:
        return _cell(_NOTHING)
    deviation = "" if found["std"] is None else f" ± {found['std']:.3f}"
    return _cell(f"{found['mean']:.3f}{deviation}")


def _paper(paper: Record | None, name: str) -> str:
    if paper is None or paper[name] is None:
        return _cell(_NOTHING, "paper")
    return _cell(f"{paper['accuracy_percent']} %" if name == "accuracy" else f"{paper[name]:.2f}", "paper")


def _difference(found: Record | None, name: str) -> str:
    if found is None:
        return _cell(_NOTHING)
    points = {key: 100 * found[name][key] for key in ("value", "low", "high")}
    return _cell(f"{points['value']:+.1f} [{points['low']:+.1f}, {points['high']:+.1f}]")


def _int8_size(row: Record) -> str:
    size = (row["int8"] or {}).get("bytes")
    return _cell(_NOTHING if size is None else f"{size / 1e6:.1f}")


def _latency(row: Record) -> str:
    return _cell(_NOTHING if row["latency"] is None else f"{row['latency']['median_ms']:.1f}")


def _gate(row: Record) -> str:
    found = row["int8"]
    if found is None:
        return _cell(_NOTHING)
    if "refused" in found:
        return f'<td class="text" title="{escape(found["refused"])}">refused</td>'
    parity = found["parity"]
    drop = 100 * (parity["balanced_accuracy"] - parity["balanced_accuracy_reference"])
    return _cell(f"{parity['agreement']:.1%}, {drop:+.1f} points", "text")


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
    return _table(lines) if lines else "<p>None: nothing is measured yet.</p>"


def _list(items: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"


def _table(lines: Sequence[str]) -> str:
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _line(cells: Sequence[str]) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _cell(text: str, kind: str = "", *, tag: str = "td") -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f"<{tag}{attribute}>{escape(text)}</{tag}>"
