"""Train the whole network with the rounding of an INT8 file in its image branch (`models.fake_quantised`).

A short training from a run that is trained already. What is kept are ordinary float32 weights under their ordinary
names, so that evaluation, export and explanation take the run as any other. Validation computes with the rounding:
the best epoch is the one that is best in INT8. Ranges move with the training and are part of its checkpoint; a file's
own are calibrated by the export as for any run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from dermedge.config import TrainConfig
from dermedge.data.batches.lesion_data import LesionData, balanced_epoch, preparation_of
from dermedge.data.samples import Sample
from dermedge.models.branches.families import new_branch
from dermedge.models.classifier import FusedClassifier
from dermedge.models.fake_quantised import FakeQuantisedBranch, fake_quantised, ordinary_weights
from dermedge.models.fusion import fusion_class
from dermedge_runtime.errors import UsageError

from .processes import Processes
from .trained_part import WholeNetwork, build_model

_TRUNK = "trunk."
_FIRST_RANGES = 64
"""Training pictures, every class alike, whose ranges the training begins with."""


@dataclass(frozen=True)
class QuantiseAware(WholeNetwork):
    """The whole network, its image branch rounded; a `TrainedPart`."""

    _training: list[LesionData] = field(default_factory=list, init=False, repr=False)

    def load(self, samples: Sequence[Sample], split_part: str) -> LesionData:
        """See `TrainedPart`; some of the training pictures give the first ranges."""
        loaded = super().load(samples, split_part)
        if split_part == "train":
            self._training[:] = [loaded]
        return loaded

    def new_network(self) -> FusedClassifier:
        """See `TrainedPart`."""
        network = build_model(self.config, self.schema)
        assert network.trunk is not None
        network.trunk = cast(Any, fake_quantised(network.trunk))
        return network

    def load_start(self, file: Path, network: nn.Module) -> None:
        """See `TrainedPart`; the ranges are those of the loaded network."""
        super().load_start(file, network)
        assert isinstance(network, FusedClassifier)
        trunk, training = cast(FakeQuantisedBranch, network.trunk), network.training
        pictures = self._first_pictures()
        trunk.find_ranges(pictures if network.texture is None else network.texture(pictures))
        trunk.train(training)

    def published(self, kept: dict[str, Tensor]) -> dict[str, Tensor]:
        """Leave the ranges out."""
        return ordinary_weights(kept, _TRUNK)

    def _first_pictures(self) -> Tensor:
        (data,) = self._training
        classes = len(np.unique(data.labels))
        order = balanced_epoch(data.labels, -(-_FIRST_RANGES // classes), np.random.default_rng(self.config.seed))
        (batch,) = data.batches(order[:_FIRST_RANGES], _FIRST_RANGES, torch.device("cpu"))
        assert batch.image is not None
        pictures: Tensor = preparation_of(self.config)(batch.image)
        return pictures


def check_quantise_aware(config: TrainConfig, processes: Processes, *, compiled: bool) -> None:
    """Look, before anything is written, whether a quantisation-aware training makes sense.

    :raises UsageError: settings that contradict it, an image branch whose
        rounding is not emulated, several processes or torch.compile.
    """
    if not fusion_class(config.fusion).uses_image:
        raise UsageError(f"--quantise-aware is about the image branch, and {config.fusion} has none. Leave it out.")
    if config.freeze_image_branch:
        raise UsageError("--quantise-aware trains the image branch, and --freeze-image-branch keeps it: give one.")
    if config.precision != "fp32":
        raise UsageError(
            f"--quantise-aware computes INT8's rounding in float32, and --precision {config.precision} would round it"
            " again. Leave --precision out."
        )
    if processes.count > 1 or compiled:
        raise UsageError(
            "A quantisation-aware training takes a few epochs in one process:"
            " leave torchrun and --compile, or --quantise-aware."
        )
    fake_quantised(new_branch(config.image_branch, config.dropout))
