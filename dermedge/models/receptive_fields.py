"""Receptive fields of several sizes over the last feature map, side by side (on dermatoscopic pictures: Wang et al.,
2023; doi 10.1155/2023/5146543; the form is that of Liu, Huang and Wang, "Receptive Field Block Net for Accurate and
Fast Object Detection", ECCV 2018; arXiv 1711.07767).

The map is narrowed by a convolution of one cell, looked at through 1, 3 and 5 cells (5 by a dilated convolution), and
what is found is joined by another convolution of one cell and added to the map. That one starts at zero, so that a
pretrained image branch begins as if nothing were there. Grad-CAM is of the sum: the map that is pooled.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

FIELDS = (1, 3, 5)
"""In cells, to a side."""
_NARROWER = 16
_LEAST_WIDTH = 16


class ReceptiveFields(nn.Module):
    """Float [B, C, h, w] to the same shape: the map, and what several cells of it say together."""

    def __init__(self, channels: int) -> None:
        """Make untrained fields.

        :param channels: C.
        """
        super().__init__()
        width = max(_LEAST_WIDTH, channels // _NARROWER)
        self.narrowed = _block(nn.Conv2d(channels, width, 1, bias=False))
        self.fields = nn.ModuleList(_block(_looking(width, field)) for field in FIELDS)
        self.joined = nn.Conv2d(len(FIELDS) * width, channels, 1)
        nn.init.zeros_(self.joined.weight)
        assert self.joined.bias is not None
        nn.init.zeros_(self.joined.bias)

    def forward(self, feature_map: Tensor) -> Tensor:
        """See the class."""
        narrow = self.narrowed(feature_map)
        found: Tensor = self.joined(torch.cat([field(narrow) for field in self.fields], dim=1))
        return feature_map + found


def _looking(width: int, field: int) -> nn.Conv2d:
    """Make a convolution that looks through `field` cells, with nine weights a channel at most."""
    dilation = field // 2
    return nn.Conv2d(width, width, 3 if dilation else 1, padding=dilation, dilation=max(1, dilation), bias=False)


def _block(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU())
