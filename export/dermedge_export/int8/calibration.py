"""What a conversion is calibrated with: real photographs, of the training split only, every class alike; and how the
ranges of INT8 follow from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod

from dermedge.data.samples import Sample
from dermedge.data.splits import Split
from dermedge.progress import progress
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.image import load_image
from dermedge_runtime.model.description import ModelSpec

CALIBRATION_IMAGES = 128
SMALLEST_CALIBRATION = 16
"""Fewer photographs say too little about the ranges of others."""
_BATCH = 8


@dataclass(frozen=True, slots=True)
class RangeMethod:
    """How the range of an activation follows from its values on the calibration photographs."""

    name: str
    method: CalibrationMethod
    options: dict[str, Any] = field(default_factory=dict)
    """Of ONNX Runtime's quantiser."""
    fitted: bool = False
    """By `fitted_ranges`; ONNX Runtime's own ranges are not used."""


RANGE_METHODS = {
    method.name: method
    for method in (
        RangeMethod("least error", CalibrationMethod.MinMax, fitted=True),
        RangeMethod("min-max", CalibrationMethod.MinMax),
        RangeMethod("entropy", CalibrationMethod.Entropy),
        *(
            RangeMethod(f"percentile {p}", CalibrationMethod.Percentile, {"CalibPercentile": p})
            for p in (99.9, 99.99, 99.999)
        ),
    )
}
# Two thirds of the divergence from FP32 that a percentile of 99.99 leaves, the best of the others (benchmarks/LOG.md).
DEFAULT_METHOD = RANGE_METHODS["least error"]


def check_calibration(samples: Sequence[Sample], split: Split) -> None:
    """Refuse what must not decide how a file computes.

    :raises InputRejected: too few photographs, or one that is not of the training split.
    """
    if len(samples) < SMALLEST_CALIBRATION:
        raise InputRejected(
            f"A calibration takes at least {SMALLEST_CALIBRATION} training photographs, there are {len(samples)}."
            " Export in FP32, which needs none, or give the run's data folder with --data."
        )
    training = set(split.ids("train"))
    foreign = [sample.image_id for sample in samples if sample.image_id not in training]
    if foreign:
        raise InputRejected(
            f"Calibration takes training photographs only; {len(foreign)} of the {len(samples)} given ones are not in"
            f" the run's training split, first {foreign[0]}."
        )


def choose(samples: Sequence[Sample], count: int, seed: int) -> list[Sample]:
    """Draw up to `count` photographs, the classes in turn, so that rare ones count too."""
    rng = np.random.default_rng(seed)
    by_class: dict[int, list[Sample]] = {}
    for sample in samples:
        by_class.setdefault(sample.label, []).append(sample)
    queues = [list(rng.permutation(np.array(own, dtype=object))) for _, own in sorted(by_class.items())]
    chosen: list[Sample] = []
    while len(chosen) < count and any(queues):
        for queue in queues:
            if queue and len(chosen) < count:
                chosen.append(queue.pop())
    return chosen


class CalibrationReader(CalibrationDataReader):  # type: ignore[misc]
    """Feed photographs, prepared by the runtime's own preprocessing, to ONNX Runtime's calibrator.

    The calibrator keeps every activation of a range of batches in memory; `set_range` lets it go batch by batch.
    """

    def __init__(self, samples: Sequence[Sample], spec: ModelSpec) -> None:
        self._spec = spec
        self._batches = in_batches(samples)
        self._pending = iter(self._batches)
        self._bar = iter(progress(range(len(self._batches)), "calibrate"))

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Give only these batches next."""
        self._pending = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, Any] | None:
        """Give the inputs of the next batch, or None after the last."""
        batch = next(self._pending, None)
        if batch is None:
            return None
        next(self._bar, None)
        return model_inputs(batch, self._spec)


def in_batches(samples: Sequence[Sample]) -> list[Sequence[Sample]]:
    """Cut photographs into the batches of a calibration."""
    return [samples[start : start + _BATCH] for start in range(0, len(samples), _BATCH)]


def model_inputs(samples: Sequence[Sample], spec: ModelSpec) -> dict[str, Any]:
    """Give the graph inputs of some photographs, those that the model reads."""
    numeric, categorical = spec.clinical.encode(
        [{name: sample.clinical.get(name) for name in spec.clinical.names} for sample in samples]
    )
    inputs: dict[str, Any] = {}
    if spec.image is not None:
        image = spec.image
        read = [load_image(sample.path, image.size, image.resample, image.detail) for sample in samples]
        inputs["image"] = np.stack(read)
    if spec.clinical.numeric:
        inputs["numeric"] = numeric
    if spec.clinical.categorical:
        inputs["categorical"] = categorical
    if spec.explains:
        inputs["target"] = np.full(len(samples), -1, dtype=np.int32)
    return inputs
