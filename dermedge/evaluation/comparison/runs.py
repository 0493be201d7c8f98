"""Every run below a comparison's folder, as tables: those that are measured, and those that are only begun."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dermedge.training.run_names import PAPERS_BRANCH
from dermedge_runtime.errors import DermedgeError

from .results import read_results
from .rows import NONE, OWN, PROTOCOLS, RECIPE_FOLDER, ROW, SHARED, Key, Record, row_key

FIGURES = ["accuracy", "precision", "recall", "f1", "specificity", "balanced_accuracy", "auc"]
VALIDATION = "validation_balanced_accuracy"


@dataclass(frozen=True, slots=True)
class Runs:
    """What lies in a comparison's folder, one line per run, sorted by `ROW` and seed."""

    measured: pd.DataFrame
    """`ROW`, `seed`, `folder` (Path); `FIGURES` and `VALIDATION`, float, NaN where the data cannot give it; the other
    keys of `results.json`, nested ones as they are there."""
    begun: pd.DataFrame
    """`ROW` and `seed` of runs whose training or measurement is not through."""

    def of(self, key: Key) -> pd.DataFrame:
        """Give the measured runs of one row, by seed."""
        table = self.measured
        return table[(table[ROW] == list(key)).all(axis=1)]

    def begun_seeds(self, key: Key) -> list[int]:
        """Give the seeds of one row that are only begun."""
        seeds: list[int] = self.begun.loc[(self.begun[ROW] == list(key)).all(axis=1), "seed"].tolist()
        return seeds

    def keys(self) -> set[Key]:
        """Give all rows of which there is a run."""
        return {row_key(run) for table in (self.measured, self.begun) for run in lines(table)}

    def seeds(self, protocol: str) -> set[int]:
        """Give all seeds of a protocol that anything is known of."""
        every = [run for table in (self.measured, self.begun) for run in lines(table)]
        return {run["seed"] for run in every if run["protocol"] == protocol}


def lines(table: pd.DataFrame) -> list[Record]:
    """Give a table line by line."""
    return [{str(name): value for name, value in line.items()} for line in table.to_dict("records")]


def read_runs(root: Path) -> Runs:
    """Read every run folder below a comparison's.

    :raises DermedgeError: damaged results.
    """
    measured, begun = [], []
    for config in sorted(root.glob("*/seed*/*/config.json")):
        folder = config.parent
        protocol, number = folder.parts[-3:-1]
        seed = number.removeprefix("seed")
        if protocol not in PROTOCOLS or not seed.isdecimal() or folder.name.startswith(RECIPE_FOLDER):
            continue
        record = read_results(folder)
        if record is None:
            begun.append({"protocol": protocol, **_begun(config), "seed": int(seed)})
        else:
            measured.append({**record, **_figures(record["scores"]), "folder": folder, "seed": int(seed)})
    return Runs(_table(measured, [*FIGURES, VALIDATION]), _table(begun, []))


def _begun(config: Path) -> dict[str, str]:
    """Image branch, fusion and trunk of a run without results, by its settings and the name of its folder."""
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))["settings"]
        fusion, branch = str(settings["fusion"]), str(settings.get("image_branch", PAPERS_BRANCH))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DermedgeError(
            f"{config} is damaged ({error}). Remove {config.parent}, and it is trained anew."
        ) from error
    if fusion == "clinical_only":
        return {"image_branch": NONE, "fusion": fusion, "trunk": NONE}
    trunk = SHARED if config.parent.name.endswith(f"-{SHARED}") else OWN
    return {"image_branch": branch, "fusion": fusion, "trunk": trunk}


def _figures(scores: Record) -> dict[str, float | None]:
    return {name: scores[name] if name in scores else scores["macro"][name] for name in FIGURES}


def _table(runs: list[Record], numbers: list[str]) -> pd.DataFrame:
    if not runs:
        return pd.DataFrame(columns=[*ROW, "seed", "split_sha256", *numbers])
    return pd.DataFrame(runs).astype(dict.fromkeys(numbers, float)).sort_values([*ROW, "seed"], ignore_index=True)
