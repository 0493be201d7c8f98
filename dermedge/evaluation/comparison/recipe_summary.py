"""Results of recipes and of our own rows beside them -> one record, with what was published and why it differs.

Figures are means over the seeds, with 95 % intervals by lesion; what was not measured stays missing.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dermedge.data.files.content_hashes import hash_file
from dermedge.data.ham10000 import CLASSES
from dermedge.progress import progress
from dermedge.recipes.recipe import Recipe
from dermedge.statistics.bootstrap import REPLICATES
from dermedge.statistics.pooled_intervals import POOLED, Answers, pooled_intervals
from dermedge_runtime.errors import DermedgeError

from .given_trunk import GIVEN
from .latency import read_latency
from .own_recipes import recipe_of
from .paired_difference import paired_difference
from .recipe_runs import read_recipe_runs, recipe_row_name
from .results import MEMBERS, int8_file, read_predictions
from .rows import BASELINE, OWN, SHARED, Key, Record, row_name
from .runs import VALIDATION, Runs, lines, read_runs
from .starts import RANDOM

RECORD = "recipes.json"
_POSITIVE = CLASSES.index("mel")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a comparison of recipes asked for."""

    ours: Mapping[Key, Sequence[int]] = field(default_factory=dict)
    """Seeds of our own rows."""
    recipes: Mapping[tuple[str, str], Sequence[int]] = field(default_factory=dict)
    """Seeds by protocol and recipe."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Reasons by recipe."""

    def to_record(self) -> Record:
        """Give it JSON-ready."""
        return {
            "ours": [[*key, list(seeds)] for key, seeds in self.ours.items()],
            "recipes": [[*key, list(seeds)] for key, seeds in self.recipes.items()],
            "left_out": dict(self.left_out),
        }


def asked_before(root: Path) -> Asked:
    """What the command asked for that wrote the folder's record.

    :raises DermedgeError: there is no such record, or a damaged one.
    """
    path = root / RECORD
    try:
        asked = json.loads(path.read_text(encoding="utf-8"))["asked"]
        ours = {(str(a), str(b), str(c), str(d)): seeds for a, b, c, d, seeds in asked["ours"]}
        return Asked(ours, {(str(a), str(b)): seeds for a, b, seeds in asked["recipes"]}, dict(asked["left_out"]))
    except OSError as error:
        raise DermedgeError(
            f"There is no comparison of recipes in {root}. Run `dermedge compare --recipes ...`."
        ) from error
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise DermedgeError(f"{path} is damaged ({error}). Run the same `dermedge compare --recipes` again.") from error


def summarize_recipes(root: Path, asked: Asked) -> Record:
    """Make the record.

    :return: JSON-ready: `asked`, `rows`, `latency`, `bootstrap`.
    :raises DermedgeError: damaged results.
    """
    latency = read_latency(root)
    rows = [_our_row(key, runs, seeds, latency) for key, runs, seeds in _ours(root, asked)]
    every = read_recipe_runs(root)
    for key in dict.fromkeys([*asked.recipes, *(run.key for run in every)]):
        own = [run for run in every if run.key == key]
        done = [{**run.results, "folder": run.folder, "seed": run.seed} for run in own if run.results is not None]
        begun = [run.seed for run in own if run.results is None]
        rows.append(
            _row(key[0], key[1], done, begun, asked.recipes.get(key, ()), _timed(latency, recipe_row_name(key)))
        )
    rows += [{**_row("", name, [], [], (), None), "left_out": reason} for name, reason in asked.left_out.items()]
    _log.info("bootstrap by lesion")
    runs = read_runs(root)
    for row in progress(rows, "bootstrap"):
        done = row.pop("done")
        row["literature"] = _literature(recipe_of(root, row["recipe"])) if row["recipe"] else None
        row["figures"], row["difference"] = _figures([run["folder"] for run in done]), _difference(row, done, runs)
    return {
        "asked": asked.to_record(),
        "rows": rows,
        "latency": None if latency is None else {name: latency[name] for name in ("date", "machine", "versions")},
        "bootstrap": {"replicates": REPLICATES, "level": 0.95, "unit": "lesion"},
    }


def _ours(root: Path, asked: Asked) -> list[tuple[Key, list[Record], Sequence[int]]]:
    runs = read_runs(root)
    return [(key, lines(runs.of(key)), seeds) for key, seeds in asked.ours.items()]


def _our_row(key: Key, done: list[Record], seeds: Sequence[int], latency: Record | None) -> Record:
    protocol, branch, fusion, trunk = key
    row = _row(protocol, "", done, [], seeds, _timed(latency, row_name(key)))
    return {**row, "image_branch": branch, "fusion": fusion, "trunk": trunk}


def _row(
    protocol: str, name: str, done: list[Record], begun: list[int], seeds: Sequence[int], timed: Record | None
) -> Record:
    """Give a row without its figures; `done` has the measured runs that they are made of."""
    first = done[0] if done else None
    measured = [int(run["seed"]) for run in done]
    int8 = next(({**run["int8"], "seed": run["seed"], "folder": run["folder"]} for run in done if run["int8"]), None)
    return {
        "recipe": name,
        "protocol": protocol,
        **{part: first[part] if first else None for part in ("image_branch", "fusion", "trunk", "parameters")},
        "start": _start(first),
        "image_size": first["settings"]["image_size"] if first else None,
        "seeds": measured,
        "begun_seeds": begun,
        "missing_seeds": sorted(set(seeds) - set(measured)),
        "left_out": "",
        "int8": int8 and {key: value for key, value in int8.items() if key != "folder"},
        "latency": _latency(first, int8, timed),
        VALIDATION: _validation(done),
        "done": done,
    }


def _validation(done: Sequence[Record]) -> Record | None:
    """Balanced accuracy of the best epochs on the validation split; None where there is none."""
    values = [run[VALIDATION] for run in done if not pd.isna(run[VALIDATION])]
    return {"mean": float(np.mean(values)), "values": values} if values else None


def _difference(row: Record, done: Sequence[Record], runs: Runs) -> Record | None:
    """Difference to `image_only` whose image branch was trained in the same way, over the seeds of the same test split.

    None for that row itself, and where it was not measured.
    """
    every = runs.keys()
    own = [key for key in every if key[0] == row["protocol"] and key[2] == BASELINE]
    trunk = SHARED if row["trunk"] == SHARED else OWN
    keys = sorted((key for key in own if key[3] == trunk), key=lambda key: key[1] != row["image_branch"])
    if not done or not keys or (not row["recipe"] and row["fusion"] == BASELINE):
        return None
    images = {(run["seed"], run["split_sha256"]): run["folder"] for run in lines(runs.of(keys[0]))}
    pairs = {run["seed"]: (run["folder"], other)
             for run in done if (other := images.get((run["seed"], run["split_sha256"])))}  # fmt: skip
    return {"baseline": list(keys[0][1:]), "seeds": [*pairs], **paired_difference(pairs.values())} if pairs else None


def _start(first: Record | None) -> str | None:
    """Say what the image branch started from."""
    if first is None:
        return None
    if MEMBERS in first:
        return "; ".join(dict.fromkeys(_source(each, frozen=each["frozen"]) for each in first[MEMBERS]))
    return _source(first, frozen=first["settings"].get("freeze_image_branch", False))


def _source(found: Record, *, frozen: bool) -> str:
    source = str(found["pretrained"]["source"]) if found["pretrained"] else RANDOM
    source += f", trained as the run {found[GIVEN]['run']}" if found[GIVEN] else ""
    return f"{source}, frozen" if frozen else source


def _literature(recipe: Recipe) -> Record:
    figures = recipe.published.figures
    return {
        "reference": recipe.reference,
        "link": recipe.link,
        "published": figures[0].model_dump() if figures else None,
        "why_it_differs": recipe.why_it_differs,
        "deviations": recipe.deviations,
        "original_image_branch": recipe.original.get("image_branch"),
    }


def _timed(latency: Record | None, name: str) -> Record | None:
    return None if latency is None else latency["rows"].get(name)


def _latency(first: Record | None, int8: Record | None, timed: Record | None) -> Record | None:
    """Latency of exactly the file that lies there."""
    if first is None or int8 is None or timed is None or "refused" in int8:
        return None
    path = int8_file(int8["folder"], first["image_branch"], first["fusion"])
    if path.is_file() and hash_file(path) != timed["sha256"]:
        return None
    return {"median_ms": timed["network"]["median_ms"], "end_to_end_median_ms": timed["end_to_end"]["median_ms"]}


def _figures(folders: Sequence[Path]) -> dict[str, Any]:
    """Figures over the seeds: mean with its interval, and the value of each seed; None where there is none."""
    if not folders:
        return dict.fromkeys(POOLED)
    read = [read_predictions(folder) for folder in folders]
    answers = [Answers(each.lesions, each.labels, each.probabilities) for each in read]
    found: dict[str, Any] = {}
    whole = pooled_intervals(answers, _POSITIVE)
    single = [pooled_intervals([each], _POSITIVE, replicates=1) for each in answers]
    for name, interval in whole.items():
        record = interval.to_record()
        values = [each[name].value for each in single]
        found[name] = record and {
            "mean": record["value"],
            "low": record["low"],
            "high": record["high"],
            "values": [None if np.isnan(value) else value for value in values],
        }
    return found
