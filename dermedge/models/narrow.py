"""An image branch with fewer channels than its family makes: the table of its widths, and the branch made from it.

A pruned run records the table, so that its network can be made again before its weights are loaded. Not covered: which
channels go (`training.pruning`).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from .branches.branch import ImageBranch

_MAP = "feature_map"
"""Entry of the last feature map, beside those of the layers."""


def widths_of(branch: ImageBranch) -> dict[str, list[int]]:
    """Give the channels in and out of every convolution and normalisation by its name, and of the last map."""
    found = {_MAP: [branch.channels, branch.channels]}
    for name, module in branch.named_modules():
        if isinstance(module, nn.Conv2d):
            found[name] = [module.in_channels, module.out_channels]
        elif isinstance(module, nn.BatchNorm2d):
            found[name] = [module.num_features, module.num_features]
    return found


def narrow(branch: ImageBranch, widths: Mapping[str, list[int]]) -> ImageBranch:
    """Cut an untrained branch to some widths, in place; the first channels of every layer stay.

    :param widths: of `widths_of`; empty: the branch stays as it is.
    :raises ValueError: the table is of another branch.
    """
    if not widths:
        return branch
    own = widths_of(branch)
    if own.keys() != widths.keys():
        raise ValueError("the setting widths is of another image branch")
    if any(len(each) != 2 or min(each) < 1 or any(map(int.__gt__, each, own[name])) for name, each in widths.items()):
        raise ValueError("the setting widths does not fit the image branch")
    for name, module in branch.named_modules():
        if isinstance(module, nn.Conv2d):
            _cut_convolution(module, *widths[name])
        elif isinstance(module, nn.BatchNorm2d):
            _cut_normalisation(module, widths[name][1])
    branch.channels = widths[_MAP][1]
    return branch


@torch.no_grad()
def _cut_convolution(layer: nn.Conv2d, channels_in: int, channels_out: int) -> None:
    if layer.groups == layer.in_channels > 1:
        layer.groups = channels_in  # depthwise stays depthwise
    layer.in_channels, layer.out_channels = channels_in, channels_out
    layer.weight = nn.Parameter(layer.weight[:channels_out, : channels_in // layer.groups].clone())
    if layer.bias is not None:
        layer.bias = nn.Parameter(layer.bias[:channels_out].clone())


@torch.no_grad()
def _cut_normalisation(layer: nn.BatchNorm2d, channels: int) -> None:
    layer.num_features = channels
    for name in ("weight", "bias"):
        setattr(layer, name, nn.Parameter(getattr(layer, name)[:channels].clone()))
    for name in ("running_mean", "running_var"):
        layer.register_buffer(name, getattr(layer, name)[:channels].clone())
