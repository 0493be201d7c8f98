"""What an image branch is to the rest of the network, and where its weights come from.

Fusions, explanations, export and runtime know nothing else of a branch. Not covered: which branches there are
(`families`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class OwnPooling(nn.Module, ABC):
    """What makes features of a map in a way that belongs to one kind of branch, float [B, C, h, w] to [B, features]."""

    features: int


class ImageBranch(nn.Module, ABC):
    """A convolutional network without its classifier: pictures to the last feature map, which is not pooled.

    It normalises the pictures itself, so that preparation, augmentation, training and runtime all speak of intensities
    in [0, 1].
    """

    channels: int
    """Of the feature map."""
    stride: int
    """Pixels of the picture to a side of a feature map's cell."""

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """Map float [B, 3, H, W], RGB in [0, 1], to float [B, channels, h, w], one cell for every `stride` pixels.

        Where the network pads its borders, h is ceil(H / stride); otherwise there are a few cells less.
        """

    def own_pooling(self) -> OwnPooling | None:
        """Make what alone can pool the map of this branch, untrained; None: any pooling will do.

        What it gives is no mean of cells, so a branch that has one has no heat map, and its family says so.
        """
        return None


class Normalisation(nn.Module):
    """(x - mean) / deviation of every colour; its constants are no weights and are not saved with them."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        """Take the three colours' figures, in units of the [0, 1] intensity range."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map float [B, 3, H, W] to the same shape."""
        return (image - self.mean) / self.deviation
