"""Results of single runs -> one record of the whole comparison; what was not measured stays missing.

Everything is read from the run folders. The figures of a row are means and sample standard deviations over its seeds.
"""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from dermedge.data.files.content_hashes import hash_file
from dermedge.progress import progress
from dermedge.statistics.bootstrap import REPLICATES
from dermedge.training.run_names import PAPERS_BRANCH

from .latency import read_latency
from .paired_difference import paired_difference
from .paper_figures import BY_FUSION, PAPER_ROWS, PAPERS_BEST
from .results import int8_file
from .rows import BASELINE, NONE, OWN, PROTOCOLS, ROW, SHARED, TRUNKS, Key, Record, row_key, row_name
from .runs import FIGURES, VALIDATION, Runs, lines, read_runs

RECORD = "comparison.json"
_VARIED = ("image_branch", "start_from", "fusion", "protocol", "seed")
"""Settings that the rows tell."""
_log = logging.getLogger(__name__)


def summarize(root: Path, asked: Mapping[Key, Collection[int]] | None = None) -> Record:
    """Make the record of the whole comparison: of what was asked for, and of what else lies in its folder.

    :param asked: seeds by row; None for those of the record that lies in the folder.
    :return: JSON-ready: `asked`, `rows`, `leaks`, `best`, `settings`, `latency`, `bootstrap`.
    :raises DermedgeError: damaged results.
    """
    runs, latency = read_runs(root), read_latency(root)
    asked = _asked_before(root) if asked is None else asked
    rows = [_row(key, runs, latency, asked.get(key, ())) for key in _in_order(runs.keys() | set(asked))]
    if len(runs.measured):
        _log.info("bootstrap by lesion")
    for row in progress(rows, "bootstrap"):
        row["difference"] = _difference(row_key(row), runs)
    return {
        "asked": [[*key, sorted(seeds)] for key, seeds in sorted(asked.items())],
        "rows": rows,
        "leaks": {protocol: _leaks(runs, protocol) for protocol in PROTOCOLS},
        "best": {protocol: _best(rows, runs, protocol, root) for protocol in PROTOCOLS},
        "settings": _settings(runs),
        "latency": None if latency is None else {k: latency[k] for k in ("date", "machine", "versions")},
        "bootstrap": {"replicates": REPLICATES, "level": 0.95, "unit": "lesion"},
    }


def _asked_before(root: Path) -> dict[Key, list[int]]:
    """What the command asked for that wrote the folder's record; nothing where no such record can be read."""
    try:
        asked = json.loads((root / RECORD).read_text(encoding="utf-8"))["asked"]
        return {_asked_key(*map(str, key)): [int(seed) for seed in seeds] for *key, seeds in asked}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}


def _asked_key(protocol: str, *rest: str) -> Key:
    """Read a row that was asked for; one from before there were image branches names none."""
    *branch, fusion, trunk = rest
    (image_branch,) = branch or (NONE if trunk == NONE else PAPERS_BRANCH,)
    return protocol, image_branch, fusion, trunk


def _in_order(known: Collection[Key]) -> list[Key]:
    """Rows in the paper's order, then what the paper has not; all of an image branch together, the paper's first."""
    fusions = [row.fusion for row in PAPER_ROWS]
    fusions += sorted({fusion for _, _, fusion, _ in known} - set(fusions))
    return [key for key in itertools.product(PROTOCOLS, _branches(known), fusions, TRUNKS) if key in known]


def _branches(known: Collection[Key]) -> list[str]:
    """Image branches in the order of the rows: none, the paper's, the others by name."""
    return sorted({branch for _, branch, _, _ in known}, key=lambda name: (name != NONE, name != PAPERS_BRANCH, name))


def _row(key: Key, runs: Runs, latency: Record | None, asked: Collection[int]) -> Record:
    (_, branch, fusion, _), own = key, runs.of(key)
    paper = BY_FUSION.get(fusion) if branch in (PAPERS_BRANCH, NONE) else None
    seeds: list[int] = own["seed"].tolist()
    first = lines(own)[0] if seeds else None
    return {
        **dict(zip(ROW, key, strict=True)),
        "name": paper.name if paper else fusion,
        "pretrained": first["pretrained"] if first else None,
        "views": first["shared"]["views"] if first and first["shared"] else None,
        "seeds": seeds,
        "begun_seeds": runs.begun_seeds(key),
        "missing_seeds": sorted(set(asked) - set(seeds)),
        "figures": {name: spread(own[name]) for name in FIGURES},
        VALIDATION: spread(own[VALIDATION]),
        "parameters": first["parameters"] if first else None,
        "int8": _int8(own),
        "latency": _latency(key, own, latency),
        "paper": {**asdict(paper), "accuracy": paper.accuracy} if paper else None,
    }


def spread(values: pd.Series[float]) -> Record | None:
    """Mean and sample standard deviation of what is known; None where nothing is, no deviation of a single value."""
    known = values.dropna()
    if known.empty:
        return None
    deviation = float(known.std()) if len(known) > 1 else None
    return {"mean": float(known.mean()), "std": deviation, "values": known.tolist()}


def _int8(own: pd.DataFrame) -> Record | None:
    """Size, parity or refusal of the INT8 file of the lowest seed that has one."""
    return next(({**run["int8"], "seed": run["seed"]} for run in lines(own) if run["int8"]), None)


def int8_path(own: pd.DataFrame) -> Path | None:
    """Where the INT8 file of a row lies; None where none was made, or the gate refused it.

    :param own: the row's runs.
    """
    run = next((run for run in lines(own) if run["int8"]), None)
    if run is None or "refused" in run["int8"]:
        return None
    return int8_file(run["folder"], run["image_branch"], run["fusion"])


def _latency(key: Key, own: pd.DataFrame, latency: Record | None) -> Record | None:
    """Latency of exactly the file that lies in the folder; None where there is none, or where it is another by now."""
    timed, path = (latency or {"rows": {}})["rows"].get(row_name(key)), int8_path(own)
    if timed is None or path is None or (path.is_file() and hash_file(path) != timed["sha256"]):
        return None
    return {"median_ms": timed["network"]["median_ms"], "end_to_end_median_ms": timed["end_to_end"]["median_ms"]}


def _difference(key: Key, runs: Runs) -> Record | None:
    """Difference to the images alone, trained in the same way, over the seeds that have the same test split."""
    baseline = _baseline(key, runs)
    if baseline is None:
        return None
    pairs = runs.of(key).merge(runs.of(baseline), on=["seed", "split_sha256"], suffixes=("", "_baseline"))
    if pairs.empty:
        return None
    found = paired_difference((pair["folder"], pair["folder_baseline"]) for pair in lines(pairs))
    return {"baseline": baseline[1:], "seeds": pairs["seed"].tolist(), **found}


def _baseline(key: Key, runs: Runs) -> Key | None:
    """Give the row that another one is compared with, of the same image branch; without one, of the first."""
    protocol, branch, fusion, trunk = key
    if (fusion, trunk) == (BASELINE, OWN):
        return None
    if trunk == NONE:
        measured = {row_key(run) for run in lines(runs.measured)}
        branch = next((b for b in _branches(measured) if (protocol, b, BASELINE, OWN) in measured), PAPERS_BRANCH)
    return protocol, branch, BASELINE, SHARED if trunk == SHARED and fusion != BASELINE else OWN


def _leaks(runs: Runs, protocol: str) -> dict[str, Record]:
    """Test images with a sibling in training, by seed: they depend on the split alone."""
    own = runs.measured[runs.measured["protocol"] == protocol].drop_duplicates("seed").sort_values("seed")
    return {str(run["seed"]): {"leaks": run["leaks"], "test_images": run["images"]["test"]} for run in lines(own)}


def _best(rows: list[Record], runs: Runs, protocol: str, root: Path) -> Record | None:
    """Choose whose confusion matrix and ROC curves are shown: by the validation split, never by the test split."""
    present = [row for row in rows if row["protocol"] == protocol and row["seeds"]]
    complete = [row for row in present if runs.seeds(protocol) <= set(row["seeds"])] or present
    papers = PAPERS_BRANCH, PAPERS_BEST
    validated = [row for row in complete if row[VALIDATION]]
    if validated:
        row: Record | None = max(validated, key=lambda row: float(row[VALIDATION]["mean"]))
        why = "the highest mean balanced accuracy on the validation split"
    else:
        row = next((row for row in present if (row["image_branch"], row["fusion"]) == papers), None)
        why = "the model the paper shows: without a validation split none can be chosen but by looking at the test"
    if row is None:
        return None
    own = runs.of(row_key(row)).fillna({VALIDATION: 0.0})
    best = lines(own.nlargest(1, VALIDATION))[0]
    return {
        "image_branch": row["image_branch"],
        "fusion": row["fusion"],
        "trunk": row["trunk"],
        "seed": best["seed"],
        "why": why,
        "folder": best["folder"].relative_to(root).as_posix(),
        "scores": best["scores"],
    }


def _settings(runs: Runs) -> Record:
    """Settings of all runs; those in which they differ give every value with the rows that have it."""
    every = [
        (name, value if isinstance(value, str) else json.dumps(value), row_name(row_key(run)))
        for run in lines(runs.measured)
        for name, value in run["settings"].items()
        if name not in _VARIED
    ]
    said = pd.DataFrame(every, columns=["setting", "value", "row"]).drop_duplicates()
    common, differing = {}, {}
    for name, own in said.groupby("setting", sort=False):
        by_value = {value: rows.tolist() for value, rows in own.groupby("value", sort=False)["row"]}
        if len(by_value) == 1:
            common[name] = next(iter(by_value))
        else:
            differing[name] = by_value
    return {"common": common, "differing": differing}
