"""See whether a picture can show a lesion at all: not nearly uniform, too dark, too bright, blurred or tiny.

What is found is a reason to doubt an answer, never to refuse the picture. A few rows are looked at, so that it costs
a prediction next to nothing.

Not covered: whether it shows skin, reflections, hair, a shake in one direction alone, a lesion out of the frame.

The limits lie outside of what the training split of HAM10000 shows (6,314 dermatoscopic pictures of 200 x 150, as a
model of 192 pixels sees them): none of them is flagged. Beside each limit stands what that split has there.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SMALLEST_SIDE = 64
"""Pixels of the file's shorter side. Chosen, not measured: every picture of that split has 150."""
LEAST_DEVIATION = 4.0
"""Standard deviation, in levels of 256, that the most varied of the three colours must have. Training: 9.1 and more."""
DARKEST = 64.0
"""Level, mean of the three colours, that a tenth of the picture must reach. Training: a tenth reaches 122 and more.
Not the mean level: the black rim of a dermatoscope's round field is no fault."""
BRIGHTEST = 240.0
"""Level that a quarter of the picture must stay below. Training: a quarter is below 235 or less."""
FINE, COARSE = 1 / 96, 6
"""The step of a fine difference as a share of the side, and how many of them a coarse one has.

Of the side and not in pixels: then a picture is as blurred to a model of 96 pixels as to one of 512."""
SHARP_FROM = 96
"""Side of the model's picture, in pixels, from which blur is judged: a smaller one has no step so fine. With a step of
one pixel 0.2 % of the training split would be flagged at 64 pixels, 0.9 % at 48, 5 % at 32."""
SMOOTHEST = 0.19
"""Mean fine difference over mean coarse one, in green, along rows and columns, that a sharp picture has at least.
However strong its contrast, a picture without detail of the fine step has 1/6 or a little less; noise alone has 1.
Training: 0.197 and more at 192 pixels, median 0.33; one of 6,314 is flagged at 96 pixels, none at 192. Blurred by a
Gaussian with a deviation of 1 % of the height, 99.1 to 100 % of 700 of these pictures are flagged at 96, 192, 224 and
512 pixels; with 0.5 %, 32 to 43 %."""
_ROWS = 16
"""Rows that are looked at. Whole rows lie together in memory; columns do not."""
_COLUMNS = 24
"""Of them, the pixels whose colours are looked at."""

_SUM = np.ones(3, np.float32)

TINY = "the file has only {width} x {height} pixels"
UNIFORM = "the picture is nearly uniform"
DARK = "the picture is far too dark"
BRIGHT = "the picture is far too bright"
BLURRED = "the picture is strongly blurred"


def picture_faults(pixels: NDArray[np.uint8], size: tuple[int, int]) -> tuple[str, ...]:
    """Say what is wrong with a picture.

    :param pixels: as the model sees it, uint8 [S, S, 3], RGB, any S.
    :param size: width and height of the file, in pixels.
    :return: sentences without full stops, one for each fault, in a fixed order; empty for a sound picture.
    """
    faults = [TINY.format(width=size[0], height=size[1])] if min(size) < SMALLEST_SIDE else []
    side = len(pixels)
    fine = round(side * FINE)
    # Each row has others below it, so that the differences along columns are between whole rows.
    below = COARSE * fine if side >= SHARP_FROM else 0
    step = max(1, (side - below) // _ROWS)
    rows = pixels[step // 2 : side - below : step]
    apart = max(1, side // _COLUMNS)
    grid = rows[:, apart // 2 :: apart].reshape(-1, 3).astype(np.float32)
    uniform = _deviation(grid) < LEAST_DEVIATION
    if uniform:
        faults.append(UNIFORM)
    levels = grid @ _SUM
    bright, dark = len(levels) // 4, len(levels) * 9 // 10
    levels.partition((bright, dark))
    if levels[dark] < 3 * DARKEST:
        faults.append(DARK)
    elif levels[bright] > 3 * BRIGHTEST:
        faults.append(BRIGHT)
    if below and not uniform and _roughness(pixels, step, fine) < SMOOTHEST:
        faults.append(BLURRED)
    return tuple(faults)


def _deviation(grid: NDArray[np.float32]) -> float:
    """Give the standard deviation of the colour that varies most; float32 [N, 3]."""
    centred = grid - 128  # the squares below are then small enough for float32
    mean = np.add.reduce(centred, axis=0) / len(grid)
    squares = (centred.T @ centred).diagonal() / len(grid)
    return math.sqrt(max(0.0, float((squares - mean * mean).max())))


def _roughness(pixels: NDArray[np.uint8], step: int, fine: int) -> float:
    """Compare fine with coarse differences; 1, which is no blur, where there are none."""
    coarse = COARSE * fine
    last = len(pixels) - coarse
    first = step // 2
    rows, near, far = (pixels[first + n : last + n : step, :, 1].astype(np.int16) for n in (0, fine, coarse))
    along = _mean(rows[:, fine:] - rows[:, :-fine]), _mean(rows[:, coarse:] - rows[:, :-coarse])
    across = _mean(near - rows), _mean(far - rows)
    large = along[1] + across[1]
    return (along[0] + across[0]) / large if large else 1.0


def _mean(differences: NDArray[np.int16]) -> float:
    np.abs(differences, out=differences)
    return int(np.add.reduce(differences, axis=None, dtype=np.int32)) / differences.size
