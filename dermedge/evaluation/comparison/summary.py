"""Results of single runs -> one record of the whole comparison; what was not measured stays missing.

Everything is read from the run folders. A row is one fusion under one protocol with one way of training the image
branch; its figures are means and sample standard deviations over the seeds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, TypeAlias

import numpy as np

from dermedge.evaluation.comparison.paper_figures import BY_FUSION, PAPER_ROWS, PAPERS_BEST
from dermedge.progress import progress
from dermedge.statistics.bootstrap import REPLICATES, PairedOutcome, paired_bootstrap

from .latency import read_latency
from .results import file_sha256, read_predictions, read_results

RECORD = "comparison.json"
PROTOCOLS = ("grouped", "paper")
FIGURES = ("accuracy", "precision", "recall", "f1", "specificity", "balanced_accuracy", "auc")
_OWN, _SHARED, _NONE = BRANCHES = ("own", "shared", "none")
_BASELINE = "image_only"
_VARIED = ("fusion", "protocol", "seed")

Record: TypeAlias = dict[str, Any]
Key: TypeAlias = tuple[str, str, str]
"""Protocol, fusion, image branch."""


@dataclass(slots=True)
class Found:
    """What lies in a comparison's folder."""

    results: dict[Key, dict[int, tuple[Path, Record]]] = field(default_factory=dict)
    """Run folder and results by row and seed."""
    begun: dict[Key, list[int]] = field(default_factory=dict)
    """Seeds whose training or measurement is not through."""

    def seeds(self, protocol: str) -> set[int]:
        """All seeds of a protocol that anything is known of."""
        every = [*self.results.items(), *self.begun.items()]
        return {seed for key, seeds in every if key[0] == protocol for seed in seeds}


def find_results(root: Path) -> Found:
    """Read every run folder below a comparison's.

    :raises DermedgeError: damaged results.
    """
    found = Found()
    for config in sorted(root.glob("*/seed*/*/config.json")):
        folder = config.parent
        protocol, number, name = folder.parts[-3:]
        if protocol not in PROTOCOLS or not number.removeprefix("seed").isdecimal():
            continue
        seed, record = int(number.removeprefix("seed")), read_results(folder)
        if record is None:
            fusion = name.removesuffix("-shared")
            branch = _SHARED if fusion != name else _NONE if fusion == "clinical_only" else _OWN
            found.begun.setdefault((protocol, fusion, branch), []).append(seed)
        else:
            key = (protocol, record["fusion"], record["image_branch"])
            found.results.setdefault(key, {})[seed] = (folder, record)
    return found


def summarize(
    root: Path, log: Callable[[str], None] = lambda line: None, asked: Mapping[Key, Collection[int]] | None = None
) -> Record:
    """Make the record of the whole comparison: of what was asked for, and of what else lies in its folder.

    :param asked: seeds by row; None for those of the record that lies in the folder.
    :return: JSON-ready: `asked`, `rows`, `leaks`, `best`, `settings`, `latency`, `bootstrap`.
    :raises DermedgeError: damaged results.
    """
    found, latency = find_results(root), read_latency(root)
    asked = _asked_before(root) if asked is None else asked
    rows = [_row(key, found, latency, asked) for key in _keys(found, asked)]
    if any(row["seeds"] for row in rows):
        log("bootstrap by lesion")
    for row in progress(rows, "bootstrap"):
        row["difference"] = _difference(row, found)
    return {
        "asked": [[*key, sorted(seeds)] for key, seeds in sorted(asked.items())],
        "rows": rows,
        "leaks": {protocol: _leaks(found, protocol) for protocol in PROTOCOLS},
        "best": {protocol: _best(rows, found, protocol, root) for protocol in PROTOCOLS},
        "settings": _settings(found),
        "latency": None if latency is None else {k: latency[k] for k in ("date", "machine", "versions")},
        "bootstrap": {"replicates": REPLICATES, "level": 0.95, "unit": "lesion"},
    }


def _asked_before(root: Path) -> dict[Key, list[int]]:
    """What the command asked for that wrote the folder's record; nothing where no such record can be read."""
    try:
        asked = json.loads((root / RECORD).read_text(encoding="utf-8"))["asked"]
        return {(str(p), str(f), str(b)): [int(seed) for seed in seeds] for p, f, b, seeds in asked}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}


def _keys(found: Found, asked: Collection[Key]) -> list[Key]:
    """Rows in the paper's order, then what the paper has not."""
    known = found.results.keys() | found.begun.keys() | set(asked)
    fusions = [row.fusion for row in PAPER_ROWS]
    fusions += sorted({fusion for _, fusion, _ in known} - set(fusions))
    every = ((protocol, fusion, branch) for protocol in PROTOCOLS for fusion in fusions for branch in BRANCHES)
    return [key for key in every if key in known]


def row_name(key: Key) -> str:
    """Name of a row in `latency.json`."""
    return "/".join(key)


def _row(key: Key, found: Found, latency: Record | None, asked: Mapping[Key, Collection[int]]) -> Record:
    protocol, fusion, branch = key
    by_seed = {seed: record for seed, (_, record) in sorted(found.results.get(key, {}).items())}
    first = next(iter(by_seed.values()), None)
    paper = BY_FUSION.get(fusion)
    return {
        "protocol": protocol,
        "fusion": fusion,
        "name": paper.name if paper else fusion,
        "image_branch": branch,
        "views": first["shared"]["views"] if first and first["shared"] else None,
        "seeds": list(by_seed),
        "begun_seeds": found.begun.get(key, []),
        "missing_seeds": sorted(set(asked.get(key, ())) - by_seed.keys()),
        "figures": {name: spread(_figure(record, name) for record in by_seed.values()) for name in FIGURES},
        "validation_balanced_accuracy": spread(r["validation_balanced_accuracy"] for r in by_seed.values()),
        "parameters": first["parameters"] if first else None,
        "int8": _int8(by_seed),
        "latency": _latency(key, found, latency),
        "paper": {**asdict(paper), "accuracy": paper.accuracy} if paper else None,
    }


def _figure(record: Record, name: str) -> float | None:
    scores = record["scores"]
    value: float | None = scores[name] if name in ("accuracy", "balanced_accuracy") else scores["macro"][name]
    return value


def spread(values: Iterable[float | None]) -> Record | None:
    """Mean and sample standard deviation of what is known; None where nothing is, no deviation of a single value."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"mean": fmean(known), "std": stdev(known) if len(known) > 1 else None, "values": known}


def _int8(by_seed: Mapping[int, Record]) -> Record | None:
    """Size, parity or refusal of the INT8 file of the lowest seed that has one."""
    return next(({**record["int8"], "seed": seed} for seed, record in by_seed.items() if record["int8"]), None)


def int8_path(key: Key, runs: Mapping[int, tuple[Path, Record]]) -> Path | None:
    """Where the INT8 file of a row lies; None where none was made, or the gate refused it."""
    int8 = _int8({seed: record for seed, (_, record) in sorted(runs.items())})
    if int8 is None or "refused" in int8:
        return None
    return runs[int8["seed"]][0] / f"{key[1]}-int8.onnx"


def _latency(key: Key, found: Found, latency: Record | None) -> Record | None:
    """Latency of exactly the file that lies in the folder; None where there is none, or where it is another by now."""
    row, path = (latency or {"rows": {}})["rows"].get(row_name(key)), int8_path(key, found.results.get(key, {}))
    if row is None or path is None or (path.is_file() and file_sha256(path) != row["sha256"]):
        return None
    return {"median_ms": row["network"]["median_ms"], "end_to_end_median_ms": row["end_to_end"]["median_ms"]}


def _baseline(key: Key) -> Key | None:
    """What a row is compared with: the images alone, trained in the same way."""
    protocol, fusion, branch = key
    if (fusion, branch) == (_BASELINE, _OWN):
        return None
    shared = branch == _SHARED and fusion != _BASELINE
    return (protocol, _BASELINE, _SHARED if shared else _OWN)


def _difference(row: Record, found: Found) -> Record | None:
    key = (row["protocol"], row["fusion"], row["image_branch"])
    baseline = _baseline(key)
    if baseline is None:
        return None
    mine, theirs = found.results.get(key, {}), found.results.get(baseline, {})
    seeds = [s for s in sorted(mine) if s in theirs and _same_test(mine[s][1], theirs[s][1])]
    if not seeds:
        return None
    outcomes, classes = [], 0
    for seed in seeds:
        one, other = read_predictions(mine[seed][0]), read_predictions(theirs[seed][0])
        predicted, expected = one.probabilities.argmax(axis=1), other.probabilities.argmax(axis=1)
        outcomes.append(PairedOutcome(one.lesions, one.labels, predicted, expected))
        classes = one.probabilities.shape[1]
    intervals = paired_bootstrap(outcomes, classes)
    return {"baseline": baseline[1:], "seeds": seeds, **{name: asdict(value) for name, value in intervals.items()}}


def _same_test(one: Record, other: Record) -> bool:
    return bool(one["split_sha256"] == other["split_sha256"])


def _leaks(found: Found, protocol: str) -> dict[str, Record]:
    """Test images with a sibling in training, by seed."""
    records = [r for key, seeds in found.results.items() if key[0] == protocol for _, r in seeds.values()]
    return {str(r["seed"]): {"leaks": r["leaks"], "test_images": r["images"]["test"]} for r in records}


def _best(rows: list[Record], found: Found, protocol: str, root: Path) -> Record | None:
    """Choose whose confusion matrix and ROC curves are shown: by the validation split, never by the test split."""
    present = [row for row in rows if row["protocol"] == protocol and row["seeds"]]
    complete = [row for row in present if found.seeds(protocol) <= set(row["seeds"])] or present
    validated = [row for row in complete if row["validation_balanced_accuracy"]]
    if validated:
        row: Record | None = max(validated, key=lambda row: float(row["validation_balanced_accuracy"]["mean"]))
        why = "the highest mean balanced accuracy on the validation split"
    else:
        row = next((row for row in present if row["fusion"] == PAPERS_BEST), None)
        why = "the model the paper shows: without a validation split none can be chosen but by looking at the test"
    if row is None:
        return None
    by_seed = found.results[protocol, row["fusion"], row["image_branch"]]
    seed = max(row["seeds"], key=lambda s: (by_seed[s][1]["validation_balanced_accuracy"] or 0.0, -s))
    folder, record = by_seed[seed]
    return {
        "fusion": row["fusion"],
        "image_branch": row["image_branch"],
        "seed": seed,
        "why": why,
        "folder": folder.relative_to(root).as_posix(),
        "scores": record["scores"],
    }


def _settings(found: Found) -> Record:
    """Settings of all runs; those in which they differ give every value with the rows that have it."""
    values: dict[str, dict[str, list[str]]] = {}
    for key, seeds in sorted(found.results.items()):
        for _, record in seeds.values():
            for name, value in record["settings"].items():
                if name not in _VARIED:
                    said = value if isinstance(value, str) else json.dumps(value)
                    rows = values.setdefault(name, {}).setdefault(said, [])
                    if row_name(key) not in rows:
                        rows.append(row_name(key))
    common = {name: next(iter(by_value)) for name, by_value in values.items() if len(by_value) == 1}
    return {"common": common, "differing": {name: by_value for name, by_value in values.items() if len(by_value) > 1}}


def best_predictions(root: Path, best: Record) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Labels int64 [N] and probabilities float32 [N, classes] of the run that is shown."""
    predictions = read_predictions(root / best["folder"])
    return predictions.labels, predictions.probabilities
