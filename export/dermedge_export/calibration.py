"""Which photographs calibrate an INT8 file: real ones, of the training split only, every class alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnxruntime.quantization import CalibrationDataReader

from dermedge.data.samples import Sample
from dermedge_runtime.image import load_image
from dermedge_runtime.spec import ModelSpec

CALIBRATION_IMAGES = 128
_BATCH = 8


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
        self._batches = [samples[start : start + _BATCH] for start in range(0, len(samples), _BATCH)]
        self._pending = iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Give only these batches next."""
        self._pending = iter(self._batches[start_index:end_index])

    def get_next(self) -> dict[str, Any] | None:
        """Give the inputs of the next batch, or None after the last."""
        batch = next(self._pending, None)
        return None if batch is None else model_inputs(batch, self._spec)


def model_inputs(samples: Sequence[Sample], spec: ModelSpec) -> dict[str, Any]:
    """Give the graph inputs of some photographs, those that the model reads."""
    numeric, categorical = spec.clinical.encode(
        [{name: sample.clinical.get(name) for name in spec.clinical.names} for sample in samples]
    )
    inputs: dict[str, Any] = {}
    if spec.image is not None:
        inputs["image"] = np.stack([load_image(s.path, spec.image.size, spec.image.resample) for s in samples])
    if spec.clinical.numeric:
        inputs["numeric"] = numeric
    if spec.clinical.categorical:
        inputs["categorical"] = categorical
    if spec.explains:
        inputs["target"] = np.full(len(samples), -1, dtype=np.int32)
    return inputs
