"""Local ternary patterns against the medians of four quadrants, as further channels of the picture (after Srivastava
et al., 2022: "A median based quadrilateral local quantized ternary pattern technique").

Around every pixel lie four quadrants of 3 x 3 pixels, each with the pixel in its corner. The median of each is compared
with the pixel: clearly brighter is 1, clearly darker -1, about the same 0. A median keeps noise and single hairs out of
the comparison. The four channels are mixed into the three that the image branch reads by a convolution of one pixel
whose weights start at 0: pretrained branches see at first what they were trained on, and keep their first convolution.

Between "the same" and "clearly" the step is soft, so that rounding on another device never switches a pixel. Nothing
is learned before the mixing, and no gradient is needed through the patterns. Minima, maxima, slices and sums alone, so
that it can live in the graph: a median of nine is taken from columns that are sorted once. Not covered: codes and their
histograms, which a network has no use for; several widths of the window.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .preparation.contrast import BRIGHTNESS

SAME, CLEAR = 2.5 / 255, 7.5 / 255
"""Differences, in the [0, 1] intensity range, up to which pixels are the same and from which they clearly differ; five
grey levels, in the middle, are the usual threshold of local ternary patterns (Tan & Triggs, 2010)."""
QUADRANTS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
"""Centres of the quadrants: down, right of the pixel. A quadrant's edge is three pixels."""
_REACH = 2


class TexturePatterns(nn.Module):
    """Adds what a convolution of one pixel makes of the patterns to the picture."""

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor(BRIGHTNESS).view(1, 3, 1, 1), persistent=False)
        self.mix = nn.Conv2d(len(QUADRANTS), 3, 1, bias=False)
        nn.init.zeros_(self.mix.weight)

    def forward(self, image: Tensor) -> Tensor:
        """Map float32 [B, 3, H, W], as a picture in [0, 1], to the same shape, no longer bound to [0, 1]."""
        mixed: Tensor = self.mix(self.patterns(image))
        return image + mixed

    def patterns(self, image: Tensor) -> Tensor:
        """Map float32 [B, 3, H, W] to the patterns, float32 [B, 4, H, W] in [-1, 1], in the order of `QUADRANTS`.

        Beyond its border the picture is continued by its outermost pixels.
        """
        brightness = (image * self.weights).sum(dim=1, keepdim=True)
        height, width = brightness.shape[2:]
        medians = median_of_nine(_continued(brightness))  # one pixel more on every side than the picture
        apart = [
            medians[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width] - brightness
            for down, right in QUADRANTS
        ]
        difference = torch.cat(apart, dim=1)
        brighter = ((difference - SAME) / (CLEAR - SAME)).clamp(0, 1)
        darker = ((-difference - SAME) / (CLEAR - SAME)).clamp(0, 1)
        return brighter - darker


def median_of_nine(values: Tensor) -> Tensor:
    """Give the median of every 3 x 3 pixels, float [B, 1, H, W] to float [B, 1, H - 2, W - 2]."""
    rows = values.shape[2] - 2
    low, middle, high = _sorted(*(values[:, :, at : at + rows] for at in range(3)))
    columns = values.shape[3] - 2
    lows, middles, highs = ([each[..., at : at + columns] for at in range(3)] for each in (low, middle, high))
    # The median is the middle one of: the highest of the lowest, the middle of the middle, the lowest of the highest.
    return _sorted(
        torch.maximum(torch.maximum(lows[0], lows[1]), lows[2]),
        _sorted(*middles)[1],
        torch.minimum(torch.minimum(highs[0], highs[1]), highs[2]),
    )[1]


def _sorted(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sort three tensors, place by place."""
    low, high = torch.minimum(a, b), torch.maximum(a, b)
    return torch.minimum(low, c), torch.maximum(low, torch.minimum(high, c)), torch.maximum(high, c)


def _continued(values: Tensor) -> Tensor:
    """Repeat the outermost pixels `_REACH` times on every side; by slices, because not every device pads so."""
    for dim in (2, 3):
        first, last = values.narrow(dim, 0, 1), values.narrow(dim, values.shape[dim] - 1, 1)
        values = torch.cat([first] * _REACH + [values] + [last] * _REACH, dim=dim)
    return values
