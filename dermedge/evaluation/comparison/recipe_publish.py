"""Write the files of a comparison of recipes: `recipes.json`, `recipes.csv`, plots and the page; and its text table."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dermedge.evaluation.fill_template import fill
from dermedge.statistics.pooled_intervals import POOLED
from dermedge.tables import interval_text, points_text, table
from dermedge_runtime import __version__
from dermedge_runtime.files import write_json, write_text

from .recipe_plots import draw_recipe_plots
from .recipe_summary import RECORD, Asked, summarize_recipes
from .rows import Key, Record, model_name
from .runs import VALIDATION

if TYPE_CHECKING:
    from .plan import Plan  # torch, which a page does not need

RECIPES_PAGE = "recipes.html"
FIGURE_TITLES = dict(
    zip(
        POOLED,
        ("accuracy", "balanced accuracy", "melanoma recall at 90 % specificity", "macro AUC", "calibration error"),
        strict=True,
    )
)
_PLAIN = (
    "recipe",
    "protocol",
    "image_branch",
    "fusion",
    "trunk",
    "start",
    "image_size",
    "seeds",
    "left_out",
    "parameters",
)
_log = logging.getLogger(__name__)


def asked_of(plan: Plan) -> Asked:
    """Give what a plan asks for."""
    ours: dict[Key, list[int]] = {}
    recipes: dict[tuple[str, str], list[int]] = {}
    for cell in plan.cells:
        if cell.recipe:
            recipes.setdefault((cell.protocol, cell.recipe), []).append(cell.seed)
        else:
            ours.setdefault((cell.protocol, cell.image_branch, cell.fusion, cell.trunk), []).append(cell.seed)
    return Asked(ours, recipes, plan.left_out)


def publish_recipes(root: Path, page: Path, asked: Asked) -> Record:
    """Make everything anew from the results that are there, trained or not.

    :param page: where the HTML page goes.
    :return: the record that was written.
    :raises DermedgeError: damaged results.
    """
    record = summarize_recipes(root, asked)
    plots = draw_recipe_plots(record, root / "plots")
    write_json(root / RECORD, record)
    write_text(root / "recipes.csv", recipes_csv(record))
    write_text(page, recipes_page(record, plots))
    _log.info("written to %s, %s and recipes.csv beside it", page, root / RECORD)
    return record


def row_title(row: Record) -> str:
    """Name of a row: the recipe's, or that of our own network."""
    if row["recipe"]:
        return str(row["recipe"])
    return f"{model_name(row['image_branch'], row['fusion'])} ({row['trunk']})"


def state_of(row: Record) -> str:
    """Say why a row has no figures, or which seeds are missing; empty: it is whole."""
    if row["left_out"]:
        return str(row["left_out"])
    absent = [seed for seed in row["missing_seeds"] if seed not in row["begun_seeds"]]
    parts = [f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))} {word}"
             for seeds, word in ((row["begun_seeds"], "begun"), (absent, "missing")) if seeds]  # fmt: skip
    return "; ".join(parts)


def published_of(row: Record) -> str:
    """The published figure of a row; a dash where there is none."""
    found = row["literature"] and row["literature"]["published"]
    return f"{found['metric']} {found['value']:g} ({found['of']})" if found else "-"


def figure_of(row: Record, name: str) -> str:
    """Give a figure with its interval, such as "0.710 [0.64, 0.77]"; a dash for none."""
    found = row["figures"][name]
    return interval_text(found and {**found, "value": found["mean"]})


def difference_of(row: Record) -> str:
    """Give how much better the balanced accuracy is than that of the images alone, in percentage points.

    A dash for the images alone, and where they were not measured.
    """
    return points_text((row.get("difference") or {}).get("balanced_accuracy"))


def recipes_csv(record: Record) -> str:
    """Give one line per row; a figure that is missing is an empty field."""
    rows = []
    for row in record["rows"]:
        line = {name: row[name] for name in _PLAIN}
        line["seeds"] = " ".join(map(str, row["seeds"]))
        for name in POOLED:
            found = row["figures"][name] or {}
            line |= {f"{name}{end}": found.get(key) for end, key in (("", "mean"), ("_low", "low"), ("_high", "high"))}
        gain = (row["difference"] or {}).get("balanced_accuracy") or {}
        line |= {f"difference{end}": gain.get(key) for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))}
        line[VALIDATION] = (row[VALIDATION] or {}).get("mean")
        published = (row["literature"] or {}).get("published") or {}
        line["int8_bytes"] = (row["int8"] or {}).get("bytes")
        line["int8_latency_ms"] = (row["latency"] or {}).get("median_ms")
        line |= {"published_metric": published.get("metric"), "published": published.get("value")}
        rows.append(line)
    whole = dict.fromkeys(("parameters", "int8_bytes", "image_size"), "Int64")
    return pd.DataFrame(rows).astype(whole).to_csv(index=False, lineterminator="\n")


def recipes_comparison_text(record: Record) -> str:
    """Give the measured rows as a table for the terminal, and what is missing in lines below it."""
    rows = [
        [
            f"{row['protocol']}, {row_title(row)}",
            len(row["seeds"]),
            *(figure_of(row, name) for name in POOLED),
            difference_of(row),
            published_of(row),
        ]
        for row in record["rows"]
        if row["seeds"]
    ]
    absent = [
        f"{', '.join(filter(None, (row['protocol'], row_title(row))))}: {state_of(row)}"
        for row in record["rows"]
        if state_of(row)
    ]
    header = ("mean over the seeds [95 % by lesion]", "seeds", *FIGURE_TITLES.values(), "to images alone", "published")
    return "\n".join([table(rows, header) if rows else "Nothing is measured yet.", *absent])


def recipes_page(record: Record, plots: Mapping[str, Path]) -> str:
    """Make the page, self-contained.

    :param plots: PNG by caption.
    """
    rows = [
        {
            **row,
            "title": row_title(row),
            "cells": [figure_of(row, name) for name in POOLED],
            "difference": difference_of(row),
            "published": published_of(row),
            "state": state_of(row),
        }
        for row in record["rows"]
    ]
    return fill(
        "recipes.html.jinja",
        rows=rows,
        figures=list(FIGURE_TITLES.values()),
        plots={caption: base64.b64encode(path.read_bytes()).decode() for caption, path in plots.items()},
        bootstrap=record["bootstrap"],
        latency=record["latency"],
        version=__version__,
    )
