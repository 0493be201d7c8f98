"""A generator of pictures of a class, and the network that tells them from photographs: a small conditional DCGAN
(Radford, Metz and Chintala 2016, arXiv:1511.06434).

The class goes into the generator beside the noise, and into the other network by a projection (Miyato and Koyama 2018,
arXiv:1802.05637), whose layers are normalised by their spectrum (Miyato et al. 2018, arXiv:1802.05957). Pictures grow
by enlarging and a convolution, which leaves no chequered pattern (Odena, Dumoulin and Olah 2016).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

NOISE = 64
"""Numbers that a picture is made of."""
SIZES = (32, 64, 128)
"""Height and width that a generator can have, in pixels."""
_FIRST = 4
"""Cells on a side of the first map of the generator, and of the last one of the other network."""
_WIDEST, _NARROWEST = 192, 24


def _channels(size: int) -> list[int]:
    """Channels of every map from 4 x 4 cells to the whole picture."""
    doublings = (size // _FIRST).bit_length() - 1
    return [max(_NARROWEST, _WIDEST >> step) for step in range(doublings + 1)]


class PictureGenerator(nn.Module):
    """Noise and a class to a picture."""

    def __init__(self, n_classes: int, size: int) -> None:
        """Make an untrained generator.

        :param size: height and width of its pictures, one of `SIZES`.
        """
        super().__init__()
        channels = _channels(size)
        self.of_class = nn.Embedding(n_classes, NOISE)
        self.first = nn.Linear(2 * NOISE, channels[0] * _FIRST * _FIRST)
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(before),
                nn.ReLU(),
                nn.Upsample(scale_factor=2),
                nn.Conv2d(before, after, 3, padding=1, bias=False),
            )
            for before, after in pairwise(channels)
        )
        self.last = nn.Sequential(nn.BatchNorm2d(channels[-1]), nn.ReLU(), nn.Conv2d(channels[-1], 3, 3, padding=1))

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """Map float [B, 64] of a normal distribution and int64 [B] to pictures float [B, 3, size, size] in [0, 1]."""
        made = self.first(torch.cat([noise, self.of_class(label)], dim=1)).view(len(noise), -1, _FIRST, _FIRST)
        for stage in self.stages:
            made = stage(made)
        picture: Tensor = torch.sigmoid(self.last(made))
        return picture


class PictureJudge(nn.Module):
    """A picture and its class to a score: the higher, the more it is taken for a photograph."""

    def __init__(self, n_classes: int, size: int) -> None:
        """Make an untrained one; see `PictureGenerator`."""
        super().__init__()
        channels = [3, *reversed(_channels(size)[:-1])]
        self.stages = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)) for before, after in pairwise(channels)
        )
        self.last = spectral_norm(nn.Linear(channels[-1], 1))
        self.of_class = spectral_norm(nn.Embedding(n_classes, channels[-1]))

    def forward(self, picture: Tensor, label: Tensor) -> Tensor:
        """Map float [B, 3, size, size] in [0, 1] and int64 [B] to scores float [B]."""
        seen: Any = 2 * picture - 1
        for stage in self.stages:
            seen = functional.leaky_relu(stage(seen), 0.2)
        features = seen.sum(dim=(2, 3))
        score: Tensor = self.last(features).squeeze(1) + (features * self.of_class(label)).sum(dim=1)
        return score
