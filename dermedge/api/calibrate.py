"""`dermedge.calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dermedge.require import extras
from dermedge_export.decision.asked import DEFAULT_COVERAGE, DEFAULT_SENSITIVITY, Asked
from dermedge_runtime.errors import UsageError
from dermedge_runtime.files import refuse_overwriting

from .names import path_of, run_of

if TYPE_CHECKING:
    from dermedge.training.run import Run
    from dermedge_export.pipeline import ExportedModel


def calibrate(
    model: Path | str,
    run: Run | Path | str,
    *,
    sensitivity: float = DEFAULT_SENSITIVITY,
    coverage: float = DEFAULT_COVERAGE,
    path: Path | str | None = None,
    data: Path | str | None = None,
) -> ExportedModel:
    """Calibrate a model file: its probabilities, its prediction sets and its decision.

    ::

        dermedge.calibrate("models/gated-int8.onnx", "runs/gated", sensitivity=0.9)

    :param model: a file that was exported from the run, calibrated before or not.
    :param run: opened, or its folder.
    :param sensitivity: share of the urgent lesions that is referred, in (0, 1), on the validation split.
    :param coverage: share of the lesions whose prediction set holds their diagnosis, in (0, 1).
    :param path: file to write; by default the model itself is replaced.
    :param data: data folder; by default the run's own.
    :return: the file and its comparison with the trained weights.
    :raises UsageError: no validation split, or too few lesions in it for what is asked.
    :raises ParityError: the file would be over the limits that it was exported with; nothing is written then.
    :raises InputRejected: pictures are missing.
    :raises DermedgeError: no run there, a file of other weights, or a package is not installed.
    """
    source = path_of("model", model)
    target = source if path is None else path_of("path", path)
    if target.is_dir():
        raise UsageError(f"{target} is a folder, and a calibration writes a file there; name another file.")
    with extras("export"):
        from dermedge.training.run import opened
        from dermedge_export.model_json import json_path
        from dermedge_export.recalibration import recalibrate
    asked = Asked(sensitivity, coverage)
    trained, folder = opened(run_of("run", run)), None if data is None else path_of("data", data)
    for file in (target, json_path(target)):
        refuse_overwriting(file, trained.inputs(folder))
    return recalibrate(trained, source, trained.samples(folder), target, asked)
