"""FixCaps, a capsule network for pictures of skin (Lan, Cai, He and Wen, "FixCaps: An Improved Capsules Network for
Diagnosis of Skin Cancer", IEEE Access 2022; doi 10.1109/ACCESS.2022.3181225), up to its primary capsules.

One convolution of 31 x 31 pixels, the largest values of 20 x 20 cells, attention over channels and places (CBAM; Woo
et al., ECCV 2018), and grouped convolutions that give 16 types of primary capsules in 6 x 6 cells. Class capsules take
the place of the pooling (`models.capsule_routing`). In the form DS the large convolution is a depthwise and a pointwise
one. The published 0.14 million weights of it are those up to the primary capsules: the matrices between the capsules
are half a million more.

What differs from the publication: cells are those of adaptive pooling, and not drawn at random (fractional pooling), so
that one picture has one answer; the class capsules are read by the head that all our networks have, with its
cross-entropy, and not by their lengths with a margin loss. Not covered: a heat map, which capsules do not have.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dermedge.models.capsule_routing import PRIMARY_SIZE, CapsuleRouting

from .branch import ImageBranch, Normalisation
from .family import BranchFamily

_COLOURS = 3
_CHANNELS = 128
_KERNEL = 31
_CELLS = 20
"""To a side, after the largest values are taken."""
_PRIMARY_KERNEL = 9
_TYPES = _CHANNELS // PRIMARY_SIZE
_PRIMARY_CELLS = (_CELLS - _PRIMARY_KERNEL) // 2 + 1


class LargestOfCells(nn.Module):
    """Largest value of each of 20 x 20 cells, which overlap by a row where the map cannot be cut evenly.

    The cells of torch's adaptive pooling, with operators that ONNX has; float [B, C, h, w] to [B, C, 20, 20].
    """

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        for axis in (2, 3):
            rows = _rows_of_cells(x.shape[axis])
            width = len(rows[0])
            index = torch.tensor([row for cell in rows for row in cell], device=x.device)
            found = torch.index_select(x, axis, index)
            x = found.reshape(*x.shape[:axis], _CELLS, width, *x.shape[axis + 1 :]).amax(dim=axis + 1)
        return x


def _rows_of_cells(count: int) -> list[list[int]]:
    """Say which of `count` rows are in each cell; where a cell has one row less, its last one stands twice."""
    ends = [(count * cell // _CELLS, math.ceil(count * (cell + 1) / _CELLS)) for cell in range(_CELLS)]
    longest = max(end - start for start, end in ends)
    return [[min(start + step, end - 1) for step in range(longest)] for start, end in ends]


class ChannelAttention(nn.Module):
    """Weight of every channel from its mean and its largest value, float [B, C, h, w] to [B, C, 1, 1]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Conv2d(channels, channels, 1, bias=False)
        self.outer = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        mean, largest = x.mean(dim=(2, 3), keepdim=True), x.amax(dim=(2, 3), keepdim=True)
        return torch.sigmoid(self._of(mean) + self._of(largest))

    def _of(self, values: Tensor) -> Tensor:
        out: Tensor = self.outer(torch.relu(self.inner(values)))
        return out


class PlaceAttention(nn.Module):
    """Weight of every cell from the mean and the largest of its channels, float [B, C, h, w] to [B, 1, h, w]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        seen = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        return torch.sigmoid(self.conv(seen))


class AttentiveBlock(nn.Module):
    """A convolution, then attention over channels and over places; float [B, C, h, w] to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.act = nn.Hardswish()
        self.channels, self.places = ChannelAttention(channels), PlaceAttention()

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.act(self.norm(self.conv(x)))
        x = self.channels(x) * x
        out: Tensor = self.places(x) * x
        return out


class FixCaps(ImageBranch):
    """The layers up to the primary capsules; pictures of 31 pixels and more."""

    stride = 1
    """Any size will do: the map has 6 x 6 cells of every picture."""

    def __init__(self, *, separable: bool) -> None:
        """Make an untrained branch.

        :param separable: the form DS.
        """
        super().__init__()
        self.channels = _CHANNELS
        self.normalisation = Normalisation([0.5] * _COLOURS, [0.5] * _COLOURS)
        layers: list[nn.Module] = [nn.Conv2d(_COLOURS, _CHANNELS, _KERNEL, stride=2)]
        if separable:
            layers = [
                nn.Conv2d(_COLOURS, _COLOURS, _KERNEL, stride=2, groups=_COLOURS),
                nn.Conv2d(_COLOURS, _CHANNELS, 1, stride=2),
                nn.BatchNorm2d(_CHANNELS),
            ]
        self.large = nn.Sequential(*layers, nn.ReLU())
        self.cells = LargestOfCells()
        self.attentive = AttentiveBlock(_CHANNELS)
        self.primary = nn.Conv2d(_CHANNELS, _CHANNELS, _PRIMARY_KERNEL, stride=2, groups=_TYPES, bias=False)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):  # as torch begins, capsules would be so short that nothing is learned
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        """Map float [B, 3, H, W] in [0, 1] to the primary capsules, not shortened yet, float [B, 128, 6, 6]."""
        out: Tensor = self.primary(self.attentive(self.cells(self.large(self.normalisation(image)))))
        return out

    def own_pooling(self) -> CapsuleRouting:
        """See the base class."""
        return CapsuleRouting(_TYPES, _PRIMARY_CELLS)


class FixCapsFamily(BranchFamily):
    """Both forms, which nobody has published weights of that would fit."""

    library = "dermedge"
    heatmap = False

    def names(self) -> tuple[str, ...]:
        """See the base class."""
        return ("fixcaps", "fixcaps_ds")

    def make(self, name: str, dropout: float) -> ImageBranch:
        """See the base class; there is no place for dropout."""
        return FixCaps(separable=name == "fixcaps_ds")

    def weight_source(self, name: str) -> None:
        """See the base class."""
