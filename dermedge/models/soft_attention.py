"""Soft attention on the last feature map (Datta, Shaikh, Srihari and Gao, "Soft-Attention Improves Skin Cancer
Classification Performance", 2021; arXiv 2105.03358).

Each of 16 maps says where to look: a convolution of the feature map, rectified, then a softmax over all cells. Their
sum, times a learned gamma, weighs the cells of the feature map, and the weighed copy lies behind it in the channels.
Grad-CAM is then of both together: the map that is pooled. What differs from the publication: the map goes into global
pooling, not into max pooling and a flat layer. Gamma starts at 1, as if it were not there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MAPS = 16
_KERNEL = 3


class SoftAttention(nn.Module):
    """Float [B, C, h, w] to [B, 2 C, h, w]: the map, and what it is where one should look."""

    def __init__(self, channels: int) -> None:
        """Make untrained attention.

        :param channels: C.
        """
        super().__init__()
        self.maps = nn.Conv2d(channels, MAPS, _KERNEL, padding=_KERNEL // 2)
        self.gamma = nn.Parameter(torch.ones(()))

    @property
    def channels(self) -> int:
        """Of the attended map."""
        return 2 * self.maps.in_channels

    def forward(self, feature_map: Tensor) -> Tensor:
        """See the class."""
        return torch.cat([feature_map, self.gamma * self.where_to_look(feature_map) * feature_map], dim=1)

    def where_to_look(self, feature_map: Tensor) -> Tensor:
        """Weight of every cell, float [B, 1, h, w], which add up to `MAPS`."""
        height, width = feature_map.shape[2:]
        shares = torch.softmax(torch.relu(self.maps(feature_map)).flatten(2), dim=2)
        return shares.sum(dim=1).reshape(-1, 1, height, width)
