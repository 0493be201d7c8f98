"""Colour constancy: take the colour of the light out of a picture (on dermatoscopic pictures: Barata, Celebi & Marques,
IEEE JBHI 2015).

The light's colour is estimated per channel by a Minkowski norm over all pixels, and every channel is divided by it. Of
order 1 that is the mean, the grey world (Buchsbaum, 1980); without end it is the brightest pixel, max-RGB (Land &
McCann, 1971); shades of grey take order 6, in between (Finlayson & Trezzi, "Shades of Gray and Colour Constancy", CIC
2004). A lesion that fills the picture pulls the mean to its own colour, and one glaring pixel is all that max-RGB sees.
Not covered: the light's strength, and light that changes across the picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dermedge.config import LightEstimate

LARGEST_GAIN = 4.0
"""A channel that is nearly empty holds noise: it is not amplified further than this."""
_TINY = 1e-6


class ColourConstancy(nn.Module):
    """No parameters, the same in training and evaluation."""

    def __init__(self, estimate: LightEstimate = "shades_of_gray") -> None:
        """Choose how the light's colour is estimated."""
        super().__init__()
        self.estimate = estimate

    def forward(self, image: Tensor) -> Tensor:
        """Map float32 [B, 3, H, W] in [0, 1] to the same; a picture whose light is neutral comes back as it is.

        Keep it in float32: in half precision x^6 of a dark pixel is 0.
        """
        light = self._light(image)
        neutral = light.mean(dim=1, keepdim=True)
        gain = neutral / torch.maximum(light, neutral / LARGEST_GAIN + _TINY)
        return (image * gain).clamp(0, 1)

    def _light(self, image: Tensor) -> Tensor:
        """Map float32 [B, 3, H, W] to the light's colour, float32 [B, 3, 1, 1]."""
        if self.estimate == "max_rgb":
            return image.amax(dim=(2, 3), keepdim=True)
        if self.estimate == "gray_world":
            return image.mean(dim=(2, 3), keepdim=True)
        square = image * image
        return (square * square * square).mean(dim=(2, 3), keepdim=True).pow(1 / 6)
