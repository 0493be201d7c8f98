"""The runs of recipes below a comparison's folder: those that are measured, and those that are only begun."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from .results import int8_file, read_results
from .rows import PROTOCOLS, RECIPE_FOLDER, SHARED, Record

RecipeKey: TypeAlias = tuple[str, str]
"""Protocol and recipe."""


@dataclass(frozen=True, slots=True)
class RecipeRun:
    """One run folder of a recipe."""

    key: RecipeKey
    seed: int
    folder: Path
    results: Record | None
    """None: its training or its measurement is not through."""


def read_recipe_runs(root: Path) -> list[RecipeRun]:
    """Read all, by protocol, recipe and seed.

    :raises DermedgeError: damaged results.
    """
    return sorted(_runs(root), key=lambda run: (run.key, run.seed))


def _runs(root: Path) -> Iterator[RecipeRun]:
    for config in root.glob(f"*/seed*/{RECIPE_FOLDER}*/config.json"):
        folder = config.parent
        protocol, number = folder.parts[-3:-1]
        seed = number.removeprefix("seed")
        if protocol in PROTOCOLS and seed.isdecimal():
            name = folder.name.removeprefix(RECIPE_FOLDER).removesuffix(f"-{SHARED}")
            yield RecipeRun((protocol, name), int(seed), folder, read_results(folder))


def recipe_row_name(key: RecipeKey) -> str:
    """Name of a row in `latency.json`."""
    protocol, name = key
    return f"{protocol}/{RECIPE_FOLDER}{name}"


def recipe_files(root: Path) -> dict[str, Path | None]:
    """Give the INT8 file of the lowest seed that has one, by the name of its row; None where the gate refused it."""
    found: dict[str, Path | None] = {}
    for run in read_recipe_runs(root):
        if run.results is not None and run.results["int8"]:
            refused = "refused" in run.results["int8"]
            path = int8_file(run.folder, run.results["image_branch"], run.results["fusion"])
            found.setdefault(recipe_row_name(run.key), None if refused else path)
    return found
