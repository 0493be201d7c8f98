"""Structured pruning: whole channels are taken out of a trained image branch, and the training goes on without them.

torch-pruning (Fang et al., CVPR 2023, arXiv:2301.12900) finds which channels depend on each other, across sums,
depthwise convolutions and normalisation, and takes those groups whose weights are smallest. Every layer loses the same
share. What is left is an ordinary, narrower network; its widths are in the settings of the run (`models.narrow`).

Not covered: the clinical branch, fusion and classifier, which are small.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from dermedge.models.branches.branch import ImageBranch
from dermedge.models.classifier import FusedClassifier
from dermedge.models.narrow import widths_of
from dermedge.require import extras
from dermedge_runtime.errors import UsageError

from .checkpoint import load_weights
from .run import Run
from .start_weights import StartWeights
from .trained_part import build_model

_MULTIPLE = 4
"""What is left of a layer is a multiple of this: kernels compute several channels at once."""
_TRACED = 64
"""Height and width of the picture that the network is followed with, in pixels."""


def with_pruned(start: StartWeights, run: Run, share: float) -> StartWeights:
    """Take the least important channels out of start weights.

    :param start: of `run`, the whole network or the image branch.
    :param share: of every layer's channels that goes.
    :raises UsageError: the image branch cannot be followed, or nothing can be taken out of it.
    :raises DermedgeError: torch-pruning is not installed, or damaged weights.
    """
    model = build_model(run.config, run.schema)
    load_weights(run.weights_file, model)
    before = _size(model)
    prune(model, share)
    kept = {name: tensor for name, tensor in model.state_dict().items() if name in start.tensors}
    assert model.trunk is not None
    left = f"{_size(model) / 1e6:.2f} of {before / 1e6:.2f} million weights of its image branch are left"
    return replace(start, tensors=kept, widths=widths_of(model.trunk), summary=f"{start.summary}; {left}")


def prune(model: FusedClassifier, share: float) -> None:
    """Take a share of the channels out of every layer of a trained network's image branch, in place.

    :param share: above 0, below 1.
    :raises UsageError: the image branch cannot be followed, or nothing can be taken out of it.
    """
    with extras("train"):
        torch_pruning: Any = import_module("torch_pruning")  # which has no types
    assert model.trunk is not None and model.head.image is not None
    reader, before, training = _Reader(model), _size(model), model.training
    model.eval()
    picture = torch.full((1, 3, _TRACED, _TRACED), 0.5)
    whole = [] if model.attention is None else [model.attention.maps]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about scalars, which have no channels
            torch_pruning.pruner.BasePruner(
                reader,
                picture,
                importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
                pruning_ratio=share,
                pruning_ratio_dict=_shares(model.trunk, share),
                round_to=_MULTIPLE,
                ignored_layers=[*whole, *(layer for layer in model.head.image if isinstance(layer, nn.Linear))],
            ).step()
        first = model.head.image[0]
        assert isinstance(first, nn.Linear)
        model.head.image.channels = first.in_features
        model.trunk.channels = first.in_features if model.attention is None else model.attention.maps.in_channels
        with torch.no_grad():
            reader(picture)
    except Exception as error:  # whatever a network that the library does not know makes it stumble over
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"--prune cannot follow this image branch ({reason}). Leave it out.") from error
    if _size(model) == before:
        raise UsageError(f"--prune {share:g} takes no channel out of this image branch. Prune more, or leave it out.")
    model.train(training)


class _Reader(nn.Module):
    """What the channels of the image branch go through up to layers whose width stays."""

    def __init__(self, model: FusedClassifier) -> None:
        super().__init__()
        self.trunk, self.attention, self.pooling = model.trunk, model.attention, model.pooling
        self.image, self._see = model.head.image, model.see

    def forward(self, picture: Tensor) -> Tensor:
        assert self.image is not None
        features: Tensor = self.image(self._see(picture))
        return features


def _shares(trunk: ImageBranch, share: float) -> dict[nn.Module, float]:
    """Give every convolution's share so that what is left of it is rounded up to a multiple."""
    shares: dict[nn.Module, float] = {}
    for layer in trunk.modules():
        if isinstance(layer, nn.Conv2d):
            width = layer.out_channels
            left = min(width, math.ceil(width * (1 - share) / _MULTIPLE) * _MULTIPLE)
            # The library cuts `width * (1 - share)` to a whole number: half a channel keeps rounding out of it.
            shares[layer] = max(0.0, 1 - (left + 0.5) / width)
    return shares


def _size(model: FusedClassifier) -> int:
    assert model.trunk is not None
    return sum(weight.numel() for weight in model.trunk.parameters())
