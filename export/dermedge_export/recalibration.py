"""A model file and its run -> the same file, calibrated for other demands, compared with the trained weights anew."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import onnx

from dermedge.data.samples import Sample
from dermedge.training.run import Run
from dermedge_runtime.errors import ModelFileError, UsageError
from dermedge_runtime.model.description import ModelSpec
from dermedge_runtime.model.model_file import read_model_file

from .check.parity import DEFAULT_LIMITS, Limits, ParityError
from .check.trained_answers import Reference
from .decision.asked import Asked
from .decision.calibrated import calibrated
from .decision.record import check_record
from .description import write_described
from .model_json import model_and_json
from .pipeline import ExportedModel, measure_parity, with_reached

_log = logging.getLogger(__name__)


def recalibrate(run: Run, path: Path, samples: Sequence[Sample], target: Path, asked: Asked) -> ExportedModel:
    """Calibrate a model file, whether it was calibrated before or not; the graph is changed no further.

    :param path: a file that was exported from the run.
    :param samples: the data set the run was trained on.
    :param target: the file to write; the same as `path` replaces it.
    :raises DermedgeError: the file was made from other weights.
    :raises ModelFileError: what it says of its calibration or its limits is damaged.
    :raises UsageError: the run has nothing to calibrate on, or too little for what is asked.
    :raises ParityError: the file would be over the limits that it was exported with; nothing is written then.
    """
    file = read_model_file(path)
    run.require_made(path, file.spec.weights_sha256)
    check_record(file.spec, path.name)
    limits = _limits(file.spec, path.name)
    made = calibrated(onnx.load_from_string(file.content), file.spec, run, samples, asked)
    held_back = run.split.select(samples, "validation")
    reference = Reference(run, held_back)
    reference.scaling = made.scaling
    with model_and_json(target) as temporary:
        write_described(made.proto, made.spec, temporary)
        _log.info("compare with the trained weights on %d validation images", len(held_back))
        parity = measure_parity(run, temporary, held_back, "validation", reference)
        if broken := parity.violations(limits):
            raise ParityError(
                f"{target.name} was not written: {'; '.join(broken)} ({parity.images} validation images)."
            )
        described = replace(made.spec, parity={**parity.to_record(), "limits": asdict(limits)})
        write_described(made.proto, with_reached(described, temporary, run, samples), temporary)
    return ExportedModel(target, file.spec.precision, target.stat().st_size, parity, file.spec.conversion)


def _limits(spec: ModelSpec, source: str) -> Limits:
    """Give the limits that a file was exported with."""
    stated = spec.parity.get("limits")
    try:
        return Limits(**stated) if stated else DEFAULT_LIMITS[spec.precision]
    except (TypeError, UsageError) as error:
        raise ModelFileError(
            f"{source}: the limits of its comparison are damaged ({error}). Export it again."
        ) from None
