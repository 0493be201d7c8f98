"""Colour constancy: take the colour of the light out of a picture (shades of grey; Finlayson & Trezzi, "Shades of Gray
and Colour Constancy", CIC 2004; on dermatoscopic pictures: Barata, Celebi & Marques, IEEE JBHI 2015).

The light's colour is estimated per channel by the Minkowski norm of order 6 over all pixels, and every channel is
divided by it. Not covered: the light's strength, and light that changes across the picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LARGEST_GAIN = 4.0
"""A channel that is nearly empty holds noise: it is not amplified further than this."""
_TINY = 1e-6


class ColourConstancy(nn.Module):
    """Shades of grey with p = 6; no parameters, the same in training and evaluation."""

    def forward(self, image: Tensor) -> Tensor:
        """Map float32 [B, 3, H, W] in [0, 1] to the same; a picture whose light is neutral comes back as it is.

        Keep it in float32: in half precision x^6 of a dark pixel is 0.
        """
        square = image * image
        light = (square * square * square).mean(dim=(2, 3), keepdim=True).pow(1 / 6)
        neutral = light.mean(dim=1, keepdim=True)
        gain = neutral / torch.maximum(light, neutral / LARGEST_GAIN + _TINY)
        return (image * gain).clamp(0, 1)
