"""Is what a file says of its calibration what calibration and card read of it? The runtime only carries it along.

Not covered: whether it is true. A file whose scaling is not the one that it names fails the comparison with the trained
weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dermedge_runtime.errors import ModelFileError
from dermedge_runtime.model.description import ModelSpec

from .scaling import TEMPERATURE, VECTOR, Scaling


def check_record(spec: ModelSpec, source: str) -> None:
    """Check the calibration of a description.

    :param source: name of the file, for messages.
    :raises ModelFileError: something is missing, of another type, or no number.
    """
    record = spec.calibration
    if not record and spec.decision is None:
        return
    try:
        _check_scaling(record["scaling"], len(spec.classes))
        _number(record["validation"]["before"], "expected_calibration_error")
        notes = record.get("notes", [])
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise TypeError("its notes are no texts")
        if "unfamiliar" in record:
            _check_score(record["unfamiliar"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        detail = f"missing {error}" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(
            f"{source}: what it says of its calibration is damaged ({detail}). Export it again."
        ) from None


def _check_scaling(record: Mapping[str, Any], classes: int) -> None:
    if record["method"] not in (TEMPERATURE, VECTOR):
        raise ValueError(f"the scaling {str(record['method'])[:40]} is unknown")
    if not isinstance(record.get("refused", ""), str):
        raise TypeError("refused is not a text")
    if record["method"] == TEMPERATURE:
        _number(record, "temperature")
    scaling = Scaling.from_record(record, classes)
    for values in (scaling.scale, scaling.offset):
        if values.shape != (classes,) or values.dtype.kind not in "fi" or not all(map(math.isfinite, values)):
            raise ValueError("its scale and offset are not a number for every class")
    if not (scaling.scale > 0).all():
        raise ValueError("a scale is not above 0")


def _check_score(record: Mapping[str, Any]) -> None:
    _number(record, "training_images")
    chosen = record["ood_score"]
    for key in ("components",) if chosen.get("features") == "last" else ("channels", "side", "components"):
        _number(chosen, key)
    if not isinstance(chosen["method"], str) or not chosen["auroc"]:
        raise ValueError("ood_score names no method, or no kind of outlier")
    for kind in chosen["auroc"]:
        _number(chosen["auroc"], kind)


def _number(record: Mapping[str, Any], key: str) -> None:
    value = record[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or (value == 0 and key == "temperature"):
        raise TypeError(f"{key[:100]} is no number that it can be")
