"""Write a comparison's files: `comparison.json`, `comparison.csv`, plots and the HTML page; and its text table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermedge.tables import table
from dermedge_runtime.files import write_json, write_text

from .page import html_page
from .plots import draw_plots
from .summary import FIGURES, PROTOCOLS, RECORD, Key, Record, summarize
from .why_figures_differ import missing_lines

if TYPE_CHECKING:
    from .plan import Cell  # torch, which a page does not need

PAGE = "report.html"


def publish(
    root: Path, page: Path, log: Callable[[str], None] = lambda line: None, asked: Sequence[Cell] | None = None
) -> Record:
    """Make everything anew from the results that are there, trained or not.

    :param page: where the HTML page goes.
    :param asked: what is missing if it is not there; None for what the last comparison in the folder asked for.
    :return: the record that was written.
    :raises DermedgeError: damaged results.
    """
    record = summarize(root, log, None if asked is None else _by_row(asked))
    plots = draw_plots(record, root, root / "plots")
    write_json(root / RECORD, record)
    write_text(root / "comparison.csv", to_csv(record))
    write_text(page, html_page(record, plots))
    log(f"written to {page}, {root / RECORD} and comparison.csv beside it")
    return record


def _by_row(cells: Sequence[Cell]) -> dict[Key, set[int]]:
    seeds: dict[Key, set[int]] = {}
    for cell in cells:
        seeds.setdefault((cell.protocol, cell.fusion, cell.image_branch), set()).add(cell.seed)
    return seeds


def to_csv(record: Record) -> str:
    """Give one line per row; a figure that is missing is an empty field."""
    lines = [_flat(row) for row in record["rows"]]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(lines[0] if lines else _flat(_NOTHING)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def _flat(row: Record) -> dict[str, Any]:
    flat: dict[str, Any] = {name: row[name] for name in ("protocol", "fusion", "image_branch")}
    flat["seeds"] = " ".join(map(str, row["seeds"]))
    for name in FIGURES:
        found, paper = row["figures"][name] or {}, row["paper"] or {}
        flat |= {f"{name}_mean": found.get("mean"), f"{name}_std": found.get("std")}
        flat[f"{name}_paper"] = paper.get(name)
    flat["validation_balanced_accuracy_mean"] = (row["validation_balanced_accuracy"] or {}).get("mean")
    for name in ("accuracy", "balanced_accuracy"):
        found = (row["difference"] or {}).get(name, {})
        flat |= {f"{name}_difference{end}": found.get(key) for end, key in _ENDS.items()}
    int8 = row["int8"] or {}
    flat |= {"parameters": row["parameters"], "int8_bytes": int8.get("bytes"), "int8_refused": int8.get("refused")}
    flat["int8_latency_ms"] = (row["latency"] or {}).get("median_ms")
    return flat


_ENDS = {"": "value", "_low": "low", "_high": "high"}
_NOTHING: Record = {
    **dict.fromkeys(("protocol", "fusion", "image_branch", "paper", "validation_balanced_accuracy", "difference")),
    **dict.fromkeys(("int8", "latency", "parameters")),
    "seeds": [],
    "figures": dict.fromkeys(FIGURES),
}


def comparison_text(record: Record) -> str:
    """Give the measured rows as a table for the terminal."""
    rows = []
    for row in record["rows"]:
        if row["seeds"]:
            figures, paper = row["figures"], row["paper"] or {}
            values = [figures[name]["mean"] if figures[name] else None for name in FIGURES]
            rows.append([f"{row['protocol']}, {row['fusion']} ({row['image_branch']})", len(row["seeds"]), *values])
            rows[-1].append(paper.get("accuracy"))
    absent = "".join(f"\n{protocol}, {line}" for protocol in PROTOCOLS for line in missing_lines(record, protocol))
    if not rows:
        return f"Nothing is measured yet.{absent}"
    return table(rows, ("mean over the seeds", "seeds", *FIGURES, "paper's accuracy")) + absent
