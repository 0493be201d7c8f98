"""Contrast: stretch a picture's brightness over the whole range, as classifiers of skin lesions do before they look
(Sevli, 2021, enhances the contrast of HAM10000's pictures).

The range from 2.5 deviations below the mean brightness to 2.5 above it becomes [0, 1], and what is beyond is clipped.
Deviations, because the percentiles that are usual need a sorting, which not every device has. All three channels are
stretched alike: each for itself would change the colours, which `colour_constancy` does where it is wanted. Not
covered: contrast that differs across the picture, as equalised histograms have it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

DEVIATIONS = 2.5
LARGEST_GAIN = 4.0
"""A picture that is nearly uniform holds noise: it is not amplified further than this."""
BRIGHTNESS = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""


class Contrast(nn.Module):
    """No learned parameters, the same in training and evaluation; contrast is never taken away."""

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(BRIGHTNESS).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Map float32 [B, 3, H, W] in [0, 1] to the same."""
        brightness = (image * self.weights).sum(dim=1, keepdim=True)
        mean = brightness.mean(dim=(2, 3), keepdim=True)
        apart = brightness - mean
        reach = DEVIATIONS * (apart * apart).mean(dim=(2, 3), keepdim=True).sqrt()
        low, high = (mean - reach).clamp(min=0), (mean + reach).clamp(max=1)
        width = (high - low).clamp(min=1 / LARGEST_GAIN)
        return ((image - (low + high) / 2) / width + 0.5).clamp(0, 1)
