"""How compact a heat map is and how much of it lies at the rim: the same on grids of any resolution."""

import numpy as np
import pytest

from dermedge_runtime.heatmap_shape import half_area, rim_share


def spot(cells: int, row: float, column: float, width: float) -> np.ndarray:
    """Draw a Gaussian spot; place and width as shares of the frame."""
    middles = (np.arange(cells) + 0.5) / cells
    down, along = np.exp(-(((middles - row) / width) ** 2)), np.exp(-(((middles - column) / width) ** 2))
    return np.outer(down, along).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (6, 6), (7, 5), (16, 16)])
def test_an_even_map(shape: tuple[int, int]) -> None:
    grid = np.full(shape, 0.3, np.float32)
    assert half_area(grid) == pytest.approx(0.5)
    assert rim_share(grid) == pytest.approx(0.36)


def test_single_cells() -> None:
    middle, corner, edge = (np.zeros((10, 10), np.float32) for _ in range(3))
    middle[4, 6], corner[0, 9], edge[5, 0] = 1, 1, 1
    assert [half_area(grid) for grid in (middle, corner, edge)] == [0.005] * 3
    assert [rim_share(grid) for grid in (middle, corner, edge)] == pytest.approx([0, 1, 1], abs=1e-12)
    coarse = np.zeros((5, 5), np.float32)
    coarse[0, 2] = 0.5  # a fifth of the side: half of it is in the rim
    assert rim_share(coarse) == pytest.approx(0.5)


def test_the_hottest_cells_come_first() -> None:
    grid = np.array([[0.1, 0.4, 0.0, 0.2], [0.1, 0.0, 0.1, 0.1]], np.float32)
    assert half_area(grid) == pytest.approx((1 + 0.1 / 0.2) / 8)


@pytest.mark.parametrize("cells", [12, 24, 48])
def test_the_resolution_of_the_grid_hardly_matters(cells: int) -> None:
    grid, coarse = spot(cells, 0.4, 0.8, 0.2), spot(8, 0.4, 0.8, 0.2)
    assert half_area(grid) == pytest.approx(half_area(coarse), abs=0.01)
    assert rim_share(grid) == pytest.approx(rim_share(coarse), abs=0.02)


def test_wider_is_wider_and_outer_is_outer() -> None:
    widths = [half_area(spot(16, 0.5, 0.5, width)) for width in (0.1, 0.2, 0.4, 1.0)]
    places = [rim_share(spot(16, 0.5, column, 0.1)) for column in (0.5, 0.7, 0.85, 1.0)]
    assert widths == sorted(widths) and places == sorted(places)
    assert places[0] < 0.01 and places[-1] > 0.7


def test_what_rounding_puts_below_zero_counts_as_nothing() -> None:
    grid = np.array([[1.0, -0.01], [-0.01, -0.01]], np.float32)
    assert (half_area(grid), rim_share(grid)) == (0.125, pytest.approx(0.36))
