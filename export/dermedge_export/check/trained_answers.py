"""What the trained weights say about the held-back photographs: computed once, compared with every attempt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dermedge.data.samples import Sample
from dermedge.training.predictions import torch_probabilities, trained_model
from dermedge.training.run import Run
from dermedge_export.int8.calibration import choose
from dermedge_runtime.model.description import ModelSpec

from .heatmaps import torch_heatmaps

_HEATMAPS = 200
"""Photographs whose heat maps are compared."""


class Reference:
    """The trained weights in torch on some photographs, in float32 on the CPU."""

    def __init__(self, run: Run, samples: Sequence[Sample]) -> None:
        self._run = run
        self._heatmaps: NDArray[np.float32] | None = None
        self.samples = samples

    @cached_property
    def probabilities(self) -> NDArray[np.float32]:
        """Float32 [N, classes]."""
        return torch_probabilities(self._run, self.samples)

    @cached_property
    def explained(self) -> list[Sample]:
        """The photographs whose heat maps are compared, the diagnoses in turn."""
        return choose(self.samples, _HEATMAPS, self._run.config.seed)

    @cached_property
    def targets(self) -> NDArray[np.int64]:
        """Predicted classes of `explained`, int64."""
        predicted = self.probabilities.argmax(axis=1)
        by_id = {sample.image_id: int(label) for sample, label in zip(self.samples, predicted, strict=True)}
        return np.array([by_id[sample.image_id] for sample in self.explained], dtype=np.int64)

    def heatmaps(self, spec: ModelSpec) -> NDArray[np.float32]:
        """Heat maps of `explained` for `targets`, float32 [len(explained), h, w]; computed at the first call."""
        if self._heatmaps is None:
            self._heatmaps = torch_heatmaps(trained_model(self._run), spec, self.explained, self.targets)
        return self._heatmaps
