"""How compact a heat map is, and how much of it lies at the rim of the picture: two shares, of any grid.

Both count cells of the grid as parts of the frame, so that grids of 6 x 6 and 16 x 16 give figures that compare.
Not covered: where the lesion is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RIM = 0.1
"""Width of the rim as a share of the frame's sides; the rim is 36 % of the area."""


def half_area(grid: NDArray[np.float32]) -> float:
    """Give the smallest share of the frame that holds half of the heat, in [0, 0.5]; 0.5 for an even map.

    Of the last cell that is needed a part is counted.

    :param grid: float32 [h, w], not all 0; what is below 0, by rounding, counts as 0.
    """
    cells = np.sort(grid.astype(np.float64).clip(0), axis=None)[::-1]
    heat = np.cumsum(cells)
    half = heat[-1] / 2
    whole = int(np.searchsorted(heat, half))
    before = heat[whole - 1] if whole else 0.0
    return float((whole + (half - before) / cells[whole]) / cells.size)


def rim_share(grid: NDArray[np.float32]) -> float:
    """Give the share of the heat in the rim, in [0, 1]; 0.36 for an even map.

    A cell that lies across the border of the rim counts with the part of its area that is in it.

    :param grid: float32 [h, w], not all 0; what is below 0, by rounding, counts as 0.
    """
    rows, columns = (_inner(cells) for cells in grid.shape)
    heat = grid.astype(np.float64).clip(0)
    return float(1 - rows @ heat @ columns / heat.sum())


def _inner(cells: int) -> NDArray[np.float64]:
    """Give the share of each of the cells of one side that is not in the rim; float64 [cells]."""
    edges = np.clip(np.arange(cells + 1) / cells, RIM, 1 - RIM)
    return np.diff(edges) * cells
