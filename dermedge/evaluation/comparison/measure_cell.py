"""Measure one trained cell: figures of its test split in torch, size and parity of its INT8 file.

The test figures are those of the trained weights in float32. The INT8 file goes through the same gate as any export;
one that is over the limits is not kept, and the results say so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dermedge.data.ham10000 import CLASSES
from dermedge.data.samples import Sample
from dermedge.data.splits import count_leaks
from dermedge.recipes.training_settings import RECIPE
from dermedge.statistics.metrics import score
from dermedge.training.head_training import recorded_trunk
from dermedge.training.members import recorded_members
from dermedge.training.predictions import labels_of, torch_probabilities, trained_networks
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.start_weights import PRETRAINED
from dermedge_export.check.parity import Limits, ParityError
from dermedge_export.pipeline import export_model
from dermedge_runtime.errors import DermedgeError

from .given_trunk import GIVEN
from .plan import Cell
from .results import MEMBERS, Predictions, int8_file, read_results, write_predictions, write_results
from .runs import VALIDATION

MEASURED_WITH = "trained weights in torch, float32, CPU"
_log = logging.getLogger(__name__)


def measure_cell(cell: Cell, run: Run, samples: Sequence[Sample], int8_limits: Limits | None) -> dict[str, Any]:
    """Measure what is not measured yet, and give the whole record.

    :param int8_limits: limits of the INT8 file; None for none.
    :raises InputRejected: a picture that cannot be read.
    """
    record = read_results(run.path)
    if record is None:
        record = _test_figures(cell, run, samples)
        write_results(run.path, record)
    if int8_limits is not None and not _int8_is_there(record, run, int8_limits):
        record = {**record, "int8": _int8(cell, run, samples, int8_limits)}
        write_results(run.path, record)
    return record


def is_measured(run: RunFolder, int8_limits: Limits | None) -> bool:
    """Whether nothing is left to do for a cell."""
    record = read_results(run.path)
    return record is not None and (int8_limits is None or _int8_is_there(record, run, int8_limits))


def _int8_is_there(record: dict[str, Any], run: RunFolder, limits: Limits) -> bool:
    found = record["int8"]
    if found is None or found["limits"] != asdict(limits):
        return False
    return "refused" in found or int8_file(run.path, record["image_branch"], record["fusion"]).is_file()


def _test_figures(cell: Cell, run: Run, samples: Sequence[Sample]) -> dict[str, Any]:
    config, split = run.config, run.split
    tested = split.select(samples, "test")
    _log.info("  measure %s test images", len(tested))
    probabilities, labels = torch_probabilities(run, tested), labels_of(tested)
    lesions = np.array([sample.lesion_id for sample in tested], dtype=np.str_)
    predictions = Predictions([sample.image_id for sample in tested], lesions, labels, probabilities)
    write_predictions(run.path, predictions, CLASSES)
    settings = {key: value for key, value in config.to_record().items() if key != "data"}
    return {
        "protocol": cell.protocol,
        "seed": cell.seed,
        "image_branch": cell.image_branch,
        "fusion": cell.fusion,
        "trunk": cell.trunk,
        **({RECIPE: cell.recipe} if cell.recipe else {}),
        "pretrained": run.record.get(PRETRAINED),
        **({MEMBERS: members} if (members := _members(run)) else {}),
        **({GIVEN: given} if (given := run.record.get(GIVEN)) else {}),
        "shared": recorded_trunk(run.record),
        "settings": settings,
        "data": Path(config.data).name,
        "images": {part: len(split.ids(part)) for part in ("train", "validation", "test")},
        "leaks": count_leaks(split, samples),
        "split_sha256": split.sha256,
        "weights_sha256": run.weights_sha256,
        "parameters": sum(parameter.numel() for parameter in trained_networks(run).parameters()),
        **({"best_epoch": None, VALIDATION: None} if members else _best_epoch(run)),
        "measured_with": MEASURED_WITH,
        "scores": score(labels, probabilities, CLASSES),
        "int8": None,
    }


def _members(run: Run) -> list[dict[str, Any]]:
    """Give what is told of each network of an ensemble; nothing for a single one."""
    told = ("image_branch", "fusion", "image_size")
    return [
        {
            **{name: getattr(each.config, name) for name in told},
            "frozen": each.config.freeze_image_branch,
            **{name: each.record.get(name) for name in ("temperature", "shrunk", PRETRAINED, GIVEN)},
        }
        for each in recorded_members(run)
    ]


def _best_epoch(run: RunFolder) -> dict[str, Any]:
    """Which epoch was kept, and its balanced accuracy on the validation split (None without one)."""
    try:
        history = pd.read_csv(run.history_file, dtype={"best": bool, VALIDATION: float}, float_precision="round_trip")
        best = history[history["best"]].iloc[-1]
        return {"best_epoch": int(best["epoch"]), VALIDATION: None if pd.isna(best[VALIDATION]) else best[VALIDATION]}
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise DermedgeError(f"{run.history_file} is damaged ({error}). Train the run again.") from error


def _int8(cell: Cell, run: Run, samples: Sequence[Sample], limits: Limits) -> dict[str, Any]:
    _log.info("  export INT8")
    target = int8_file(run.path, cell.image_branch, cell.fusion)
    try:
        report = export_model(run, samples, "int8", target, limits=limits, asked=None)
    except ParityError as error:
        target.unlink(missing_ok=True)  # of an earlier comparison with wider limits
        _log.info("  %s", error)
        return {"limits": asdict(limits), "refused": str(error)}
    _log.info("  %.1f MB, %s", report.bytes / 1e6, report.parity.summary())
    return {"limits": asdict(limits), "bytes": report.bytes, "parity": report.parity.to_record()}
