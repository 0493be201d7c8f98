"""From the pooled feature map of any image branch to the image features (paper, section 3.4.2, figure 5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

IMAGE_FEATURES = 512
_NEGATIVE_SLOPE = 0.01


class ImageHead(nn.Sequential):
    """Final block of figure 5 after the average pooling: Linear, LeakyReLU, Linear; float [B, C] to [B, 512]."""

    kept: Tensor | None
    """1 for a feature that is kept, 0 for one that is nothing to the layers, float32 [C]; None: all are kept."""

    def __init__(self, channels: int, *, selects: bool = False) -> None:
        """Make the projection of a branch.

        :param channels: C, of the branch's feature map.
        :param selects: the training says which of them are kept (`training.feature_selection`).
        """
        super().__init__(
            nn.Linear(channels, IMAGE_FEATURES),
            nn.LeakyReLU(_NEGATIVE_SLOPE),
            nn.Linear(IMAGE_FEATURES, IMAGE_FEATURES),
        )
        self.channels = channels
        self.register_buffer("kept", torch.ones(channels) if selects else None)

    def forward(self, pooled: Tensor) -> Tensor:
        """Map float [B, C] to float [B, 512]."""
        pooled = pooled if self.kept is None else pooled * self.kept
        features: Tensor = super().forward(pooled)  # type: ignore[no-untyped-call]
        return features
