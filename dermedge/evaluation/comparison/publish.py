"""Write a comparison's files: `comparison.json`, `comparison.csv`, plots and the HTML page; and its text table."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dermedge.tables import table
from dermedge_runtime.files import write_json, write_text

from .missing import missing_lines
from .page import html_page
from .plots import draw_plots
from .rows import PROTOCOLS, ROW, Key, Record, model_name, row_key
from .runs import FIGURES, VALIDATION
from .starts import start_lines
from .summary import RECORD, summarize

if TYPE_CHECKING:
    from .plan import Cell  # torch, which a page does not need

PAGE = "report.html"
_CSV = {
    **{name: name for name in (*ROW, "seeds")},
    **{
        f"{name}_{end}": f"figures.{name}.{end}" if end != "paper" else f"paper.{name}"
        for name in FIGURES
        for end in ("mean", "std", "paper")
    },
    f"{VALIDATION}_mean": f"{VALIDATION}.mean",
    **{
        f"{name}_difference{end}": f"difference.{name}.{key}"
        for name in ("accuracy", "balanced_accuracy")
        for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))
    },
    "parameters": "parameters",
    "int8_bytes": "int8.bytes",
    "int8_refused": "int8.refused",
    "int8_latency_ms": "latency.median_ms",
    "pretrained": "pretrained.source",
}
"""Columns of the CSV, and where each is found in a row of the record."""
_log = logging.getLogger(__name__)


def publish(root: Path, page: Path, asked: Sequence[Cell] | None = None) -> Record:
    """Make everything anew from the results that are there, trained or not.

    :param page: where the HTML page goes.
    :param asked: what is missing if it is not there; None for what the last comparison in the folder asked for.
    :return: the record that was written.
    :raises DermedgeError: damaged results.
    """
    record = summarize(root, None if asked is None else _by_row(asked))
    plots = draw_plots(record, root, root / "plots")
    write_json(root / RECORD, record)
    write_text(root / "comparison.csv", to_csv(record))
    write_text(page, html_page(record, plots))
    _log.info("written to %s, %s and comparison.csv beside it", page, root / RECORD)
    return record


def _by_row(cells: Sequence[Cell]) -> dict[Key, set[int]]:
    seeds: dict[Key, set[int]] = {}
    for cell in cells:
        seeds.setdefault((cell.protocol, cell.image_branch, cell.fusion, cell.trunk), set()).add(cell.seed)
    return seeds


def to_csv(record: Record) -> str:
    """Give one line per row; a figure that is missing is an empty field."""
    rows = pd.json_normalize(record["rows"]).reindex(columns=list(_CSV.values())).set_axis(list(_CSV), axis=1)
    rows["seeds"] = rows["seeds"].map(lambda seeds: " ".join(map(str, seeds)))
    # Whole numbers stay whole beside an empty field.
    return rows.astype({"parameters": "Int64", "int8_bytes": "Int64"}).to_csv(index=False, lineterminator="\n")


def comparison_text(record: Record) -> str:
    """Give the measured rows as a table for the terminal."""
    rows = []
    for row in record["rows"]:
        if row["seeds"]:
            figures, paper = row["figures"], row["paper"] or {}
            values = [figures[name]["mean"] if figures[name] else None for name in FIGURES]
            protocol, branch, fusion, trunk = row_key(row)
            rows.append([f"{protocol}, {model_name(branch, fusion)} ({trunk})", len(row["seeds"]), *values])
            rows[-1].append(paper.get("accuracy"))
    absent = "".join(f"\n{protocol}, {line}" for protocol in PROTOCOLS for line in missing_lines(record, protocol))
    if not rows:
        return f"Nothing is measured yet.{absent}"
    starts = "".join(f"\n{line}" for line in start_lines(record))
    return table(rows, ("mean over the seeds", "seeds", *FIGURES, "paper's accuracy")) + starts + absent
