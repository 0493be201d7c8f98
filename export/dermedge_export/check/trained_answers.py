"""What the trained weights say about the held-back photographs: computed once, compared with every attempt."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from dermedge.data.samples import Sample
from dermedge.training.predictions import torch_logits, trained_networks
from dermedge.training.run import Run
from dermedge_export.decision.scaling import Scaling
from dermedge_export.int8.calibration import choose
from dermedge_runtime.model.description import ModelSpec

from .heatmaps import torch_heatmaps

_HEATMAPS = 200
"""Photographs whose heat maps are compared."""


class Reference:
    """The trained weights in torch on some photographs, in float32 on the CPU, calibrated as the file is."""

    def __init__(self, run: Run, samples: Sequence[Sample]) -> None:
        self._run = run
        self._heatmaps: dict[bytes, NDArray[np.float32]] = {}
        self.samples = samples
        self.scaling: Scaling | None = None
        """How the scores of the file that is compared were calibrated; None: not at all."""

    @cached_property
    def _logits(self) -> NDArray[np.float32]:
        return torch_logits(self._run, self.samples)

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Float32 [N, classes]."""
        scores = self._logits if self.scaling is None else self.scaling.scores(self._logits)
        found: NDArray[np.float32] = softmax(scores, axis=1).astype(np.float32)
        return found

    @cached_property
    def explained(self) -> list[Sample]:
        """The photographs whose heat maps are compared, the diagnoses in turn."""
        return choose(self.samples, _HEATMAPS, self._run.config.seed)

    @property
    def targets(self) -> NDArray[np.int64]:
        """Predicted classes of `explained`, int64."""
        predicted = self.probabilities.argmax(axis=1)
        by_id = {sample.image_id: int(label) for sample, label in zip(self.samples, predicted, strict=True)}
        return np.array([by_id[sample.image_id] for sample in self.explained], dtype=np.int64)

    def heatmaps(self, spec: ModelSpec) -> NDArray[np.float32]:
        """Heat maps of `explained` for `targets`, float32 [len(explained), h, w]; computed once for the same targets.

        A calibration scales a class's score, and so the whole map, which is then scaled to 1: it changes nothing else.
        """
        targets = self.targets
        if targets.tobytes() not in self._heatmaps:
            found = torch_heatmaps(trained_networks(self._run), spec, self.explained, targets)
            self._heatmaps[targets.tobytes()] = found
        return self._heatmaps[targets.tobytes()]
