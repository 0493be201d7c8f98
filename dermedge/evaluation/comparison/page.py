"""The comparison as one self-contained HTML page: what stands in its tables; its words are those of the template.

A table has the rows that are measured, and the columns that one of them has; what was asked for and is not there stands
in a line of its own.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from dermedge.evaluation.fill_template import fill
from dermedge.tables import points_text
from dermedge.training.run_names import PAPERS_BRANCH
from dermedge_runtime import __version__

from .missing import missing_lines
from .rows import NONE, Record, model_name
from .starts import start_lines, start_of

_NOTHING = "-"
_BESIDE = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "specificity": "specificity",
}
_TITLES = {
    "grouped": "Protocol grouped: by lesion, 70/15/15, without dx_type",
    "paper": "Protocol paper: random images, 70/30, with dx_type (leaks)",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    heading: str
    cells: list[str]
    """One per row."""
    kind: str = ""
    """text or paper, for its looks."""


def html_page(record: Record, plots: Mapping[str, Mapping[str, Path]]) -> str:
    """Make the page.

    :param plots: PNG by caption, by protocol.
    """
    present = [protocol for protocol in _TITLES if any(row["protocol"] == protocol for row in record["rows"])]
    return fill(
        "comparison.html.jinja",
        trainings=sum(len(row["seeds"]) for row in record["rows"]),
        protocols=[_protocol(record, protocol, plots.get(protocol, {})) for protocol in present],
        leaks=[_leaks(protocol, by_seed) for protocol, by_seed in record["leaks"].items() if by_seed],
        views=sorted({row["views"] for row in record["rows"] if row["views"] is not None}),
        branches=_has_branches(record["rows"]),
        starts=start_lines(record),
        bootstrap=record["bootstrap"],
        latency=record["latency"],
        settings=record["settings"],
        version=__version__,
    )


def _leaks(protocol: str, by_seed: Mapping[str, Record]) -> dict[str, str]:
    leaks, images = (sum(each[name] for each in by_seed.values()) for name in ("leaks", "test_images"))
    return {"protocol": protocol, "said": f"{100 * leaks / images:.1f} % ({leaks:,} of {images:,})"}


def _has_branches(rows: Sequence[Record]) -> bool:
    return any(row["image_branch"] not in (PAPERS_BRANCH, NONE) for row in rows)


def _protocol(record: Record, protocol: str, plots: Mapping[str, Path]) -> Record:
    measured = [row for row in record["rows"] if row["protocol"] == protocol and row["seeds"]]
    best = record["best"][protocol]
    return {
        "title": _TITLES[protocol],
        "missing": missing_lines(record, protocol),
        "beside_paper": _beside_paper(measured) if measured else [],
        "ours": _ours(measured),
        "best": best and {**best, "model": model_name(best["image_branch"], best["fusion"])},
        "plots": {caption: base64.b64encode(path.read_bytes()).decode() for caption, path in plots.items()},
    }


def _beside_paper(rows: Sequence[Record]) -> list[Column]:
    columns = _names(rows, [_with_paper_name(row) for row in rows])
    for name, heading in _BESIDE.items():
        columns.append(Column(heading, [_spread(row["figures"][name]) for row in rows]))
        columns.append(Column("paper", [_paper(row["paper"], name) for row in rows], "paper"))
    return columns


def _ours(rows: Sequence[Record]) -> list[Column]:
    columns = [
        Column("balanced accuracy", [_spread(row["figures"]["balanced_accuracy"]) for row in rows]),
        Column("validation balanced accuracy", [_spread(row["validation_balanced_accuracy"]) for row in rows]),
        Column("AUC", [_spread(row["figures"]["auc"]) for row in rows]),
        *(
            Column(
                f"{name.replace('_', ' ')} minus images alone, points [95 %]",
                [_difference(row["difference"], name) for row in rows],
            )
            for name in ("accuracy", "balanced_accuracy")
        ),
        Column("parameters", [f"{row['parameters']:,}" for row in rows]),
        Column("INT8 MB", [_int8_size(row["int8"]) for row in rows]),
        Column("INT8 latency ms", [_latency(row["latency"]) for row in rows]),
        Column("INT8 gate: agreement, change of balanced accuracy", [_gate(row["int8"]) for row in rows], "text"),
    ]
    if any(row["pretrained"] for row in rows):
        columns.append(Column("image branch started from", [start_of(row) for row in rows], "text"))
    found = [column for column in columns if set(column.cells) != {_NOTHING}]
    return [*_names(rows, [row["fusion"] for row in rows]), *found]


def _names(rows: Sequence[Record], models: list[str]) -> list[Column]:
    seeds = [", ".join(map(str, row["seeds"])) for row in rows]
    branches = [Column("image branch", [row["image_branch"] for row in rows], "text")] if _has_branches(rows) else []
    return [
        Column("model", models),
        *branches,
        Column("trunk", [row["trunk"] for row in rows], "text"),
        Column("seeds", seeds, "text"),
    ]


def _with_paper_name(row: Record) -> str:
    return Markup("{} <small>({})</small>").format(row["fusion"], row["name"]) if row["paper"] else str(row["fusion"])


def _spread(found: Record | None) -> str:
    if found is None:
        return _NOTHING
    return f"{found['mean']:.3f}" if found["std"] is None else f"{found['mean']:.3f} ± {found['std']:.3f}"


def _paper(paper: Record | None, name: str) -> str:
    if paper is None or paper[name] is None:
        return _NOTHING
    return f"{paper['accuracy_percent']} %" if name == "accuracy" else f"{paper[name]:.2f}"


def _difference(found: Record | None, name: str) -> str:
    return _NOTHING if found is None else points_text(found[name])


def _int8_size(int8: Record | None) -> str:
    return f"{int8['bytes'] / 1e6:.1f}" if int8 and "bytes" in int8 else _NOTHING


def _latency(latency: Record | None) -> str:
    return f"{latency['median_ms']:.1f}" if latency else _NOTHING


def _gate(int8: Record | None) -> str:
    if int8 is None:
        return _NOTHING
    if "refused" in int8:
        return Markup('<span title="{}">refused</span>').format(int8["refused"])
    parity = int8["parity"]
    drop = 100 * (parity["balanced_accuracy"] - parity["balanced_accuracy_reference"])
    return f"{parity['agreement']:.1%}, {drop:+.1f} points"
