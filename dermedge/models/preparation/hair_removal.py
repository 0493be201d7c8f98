"""Hair removal after DullRazor (Lee et al., "DullRazor: a software approach to hair removal from images", Computers in
Biology and Medicine 27, 1997), of pooling, padding, reshaping and resizing alone, so that it can live in the graph.

Covered: dark lines up to 3 % of the picture's width, found by morphological closing across them in four directions, if
they are longer than 7 % and stand out from their surroundings; they are filled with the mean of what is around.
What differs from DullRazor: a closing along the line must find less than the one across (a dot is closed by both), hair
is judged by the brightest channel, the mask is soft, and the fill is a box mean, no interpolation across the hair.
Not covered: light hairs, hairs on lesions as dark as they are, ruler marks as such. Parallel stripes of pigment look
like hairs and are weakened (benchmarks/LOG.md).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 0.036
"""Length of the closings, a share of the picture's width: thinner lines are found."""
GROWTH = 0.02
"""Side of the square by which the mask grows, to cover the soft edge of a hair."""
LENGTH = 0.07
"""Shorter pieces are no hair."""
FILL = 0.09
"""Side of the box whose mean fills a hair."""
FAINTEST, CLEAREST = 0.07, 0.12
"""Contrast, in the [0, 1] intensity range, at which the removal begins and is complete: in between the mask is soft, so
that rounding on another device never switches a pixel."""
_FILL_GRID = 64
"""The box means are taken on cells, about this many across the picture: whole pixels would cost 30 times as much."""
_TINY = 1e-3

_Step = tuple[int, int]
"""From one pixel of a line to the next: down, right."""
_ACROSS: dict[_Step, _Step] = {(0, 1): (1, 0), (1, 0): (0, 1), (1, 1): (1, -1), (1, -1): (1, 1)}
"""Directions along a line, and those across it."""


class HairRemoval(nn.Module):
    """No parameters, the same in training and evaluation; all lengths scale with the picture's width."""

    def forward(self, image: Tensor) -> Tensor:
        """Map float32 [B, 3, H, W] in [0, 1] to the same without dark hairs; H and W at least 16."""
        width = image.shape[3]
        closing, growth = odd(WIDTH * width, 5), odd(GROWTH * width, 3)
        mask = hair_mask(image, closing, odd(LENGTH * width, closing + growth + 1), growth)
        return _fill(image, mask, odd(FILL * width, closing + growth + 1))


def odd(length: float, least: int) -> int:
    """Round to the nearest odd number of pixels, at least `least`."""
    return 2 * round((max(length, least) - 1) / 2) + 1


def hair_mask(image: Tensor, closing: int, length: int, growth: int) -> Tensor:
    """How surely each pixel of float [B, 3, H, W] is hair, float [B, 1, H, W] in [0, 1].

    :param closing: widest hair, pixels; odd, as all three.
    :param length: shortest hair, pixels.
    :param growth: side of the square by which the mask grows, pixels.
    """
    # Hair is dark in every channel; the brightest one hides vessels (bright in red) and most pigment.
    brightest = image.amax(dim=1, keepdim=True)
    # Thickened, a hair between two of the directions still fills the line along it, so that only a dot is closed there.
    added = odd(growth / 2, 3)
    thick = -functional.max_pool2d(-brightest, added, 1, added // 2)
    masks = []
    for along, across in _ACROSS.items():
        dot = torch.maximum(brightest, -_extremes(thick, closing + added - 1, along))
        contrast = (-_extremes(brightest, closing, across) - dot - FAINTEST) / (CLEAREST - FAINTEST)
        grown = functional.max_pool2d(contrast.clamp(0, 1), growth, 1, growth // 2)
        masks.append(_extremes(-grown, length, along))
    return torch.maximum(torch.maximum(masks[0], masks[1]), torch.maximum(masks[2], masks[3]))


def _extremes(values: Tensor, length: int, step: _Step) -> Tensor:
    """Largest of `length` neighbours on a line, negated, and the largest of those again, float [B, 1, H, W].

    Of x this is minus its morphological closing, of -x its opening. Outside the picture there are zeros.
    """
    if step[0] and step[1]:
        length = odd(length / 2**0.5, 3)  # a diagonal step is as long as 1.4 pixels
    height, width = values.shape[2:]
    down, right = (length - 1) * step[0], (length - 1) * abs(step[1])
    padded = functional.pad(values, (right, right, down, down))
    if not step[0]:
        found = _twice(padded, (1, length))
    elif not step[1]:
        found = _twice(padded, (length, 1))
    else:
        found = _along_diagonal(padded, length, step[1])
    return found[:, :, down : down + height, right : right + width]


def _along_diagonal(padded: Tensor, length: int, right: int) -> Tensor:
    """`_twice` along a diagonal: laid out in rows longer or shorter by one pixel, a diagonal becomes a column."""
    height, width = padded.shape[2:]
    columns = width + right
    rows = -(-height * width // columns)
    rest = rows * columns - height * width
    flat = functional.pad(padded.reshape(-1, 1, 1, height * width), (0, rest))
    found = _twice(flat.reshape(-1, 1, rows, columns), (length, 1))
    return found.reshape(-1, 1, 1, rows * columns)[..., : height * width].reshape(-1, 1, height, width)


def _twice(values: Tensor, kernel: tuple[int, int]) -> Tensor:
    padding = (kernel[0] // 2, kernel[1] // 2)
    return functional.max_pool2d(-functional.max_pool2d(values, kernel, 1, padding), kernel, 1, padding)


def _fill(image: Tensor, mask: Tensor, side: int) -> Tensor:
    """Replace what is masked by the mean of what is not within `side` pixels; where all is masked, by itself."""
    height, width = image.shape[2:]
    cell = max(1, round(width / _FILL_GRID))
    weight = 1 + _TINY - mask
    sums = torch.cat([image * weight, weight], dim=1)
    # Cells beyond the picture weigh nothing.
    sums = functional.pad(sums, (0, -width % cell, 0, -height % cell))
    sums = functional.avg_pool2d(sums, cell)
    box = odd(side / cell, 3)
    sums = functional.avg_pool2d(sums, (1, box), 1, (0, box // 2))
    sums = functional.avg_pool2d(sums, (box, 1), 1, (box // 2, 0))
    mean = sums[:, :3] / sums[:, 3:]
    if cell > 1:
        mean = functional.interpolate(mean, scale_factor=float(cell), mode="bilinear", align_corners=False)
        mean = mean[:, :, :height, :width]
    return image + mask * (mean - image)
