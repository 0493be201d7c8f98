"""From the pooled feature map of any image branch to the image features (paper, section 3.4.2, figure 5)."""

from __future__ import annotations

from torch import nn

IMAGE_FEATURES = 512
_NEGATIVE_SLOPE = 0.01


class ImageHead(nn.Sequential):
    """Final block of figure 5 after the average pooling: Linear, LeakyReLU, Linear; float [B, C] to [B, 512]."""

    def __init__(self, channels: int) -> None:
        """Make the projection of a branch.

        :param channels: C, of the branch's feature map.
        """
        super().__init__(
            nn.Linear(channels, IMAGE_FEATURES),
            nn.LeakyReLU(_NEGATIVE_SLOPE),
            nn.Linear(IMAGE_FEATURES, IMAGE_FEATURES),
        )
        self.channels = channels
