"""The figures that judge a heat map, on maps whose answer is known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermedge.data.files.lesion_masks import read_mask
from dermedge.statistics.mask_agreement import FIGURES, Judged, curves, judge, summarise

SIZE = 32
LESION = np.zeros((SIZE, SIZE), dtype=bool)
LESION[:16, :16] = True
PICTURE = np.where(LESION[..., None], 250, 10).astype(np.uint8).repeat(3, axis=2)


def _grid(row: int, column: int) -> np.ndarray:
    grid = np.zeros((4, 4), dtype=np.float32)
    grid[row, column] = 1
    return grid


def _brightness(pictures: np.ndarray) -> np.ndarray:
    """A model that sees the bright lesion and nothing else."""
    return pictures[:, :16, :16].mean(axis=(1, 2, 3)).astype(np.float32) / 255


def _judge(grid: np.ndarray) -> dict[str, float]:
    return judge(PICTURE, grid, LESION, _brightness, np.random.default_rng(0))


def test_a_map_on_the_lesion_scores_and_one_beside_it_does_not() -> None:
    on, beside = _judge(_grid(0, 0)), _judge(_grid(3, 3))
    assert on["lesion_area"] == beside["lesion_area"] == 0.25
    assert on["energy"] == pytest.approx(1)
    assert beside["energy"] == 0
    assert (on["pointing"], beside["pointing"]) == (1, 0)
    assert on["deletion"] < beside["deletion"]
    assert on["insertion"] > beside["insertion"]
    assert set(on) == set(FIGURES)


def test_a_uniform_map_has_the_energy_of_chance() -> None:
    assert _judge(np.full((4, 4), 0.5, np.float32))["energy"] == pytest.approx(0.25)


def test_an_empty_map_hits_nothing() -> None:
    empty = _judge(np.zeros((4, 4), np.float32))
    assert (empty["energy"], empty["pointing"]) == (0, 0)


def test_curves_are_means_over_the_steps() -> None:
    steps = []

    def constant(pictures: np.ndarray) -> np.ndarray:
        steps.append(len(pictures))
        return np.full(len(pictures), 0.75, np.float32)

    areas = curves(PICTURE, np.random.default_rng(0).random((SIZE, SIZE), dtype=np.float32), constant)
    assert areas == {"deletion": pytest.approx(0.75), "insertion": pytest.approx(0.75)}
    assert steps == [22]


def test_deletion_starts_with_the_picture_and_insertion_ends_with_it() -> None:
    seen = []

    def keep(pictures: np.ndarray) -> np.ndarray:
        seen.append(pictures)
        return np.zeros(len(pictures), np.float32)

    curves(PICTURE, np.random.default_rng(0).random((SIZE, SIZE), dtype=np.float32), keep)
    (pictures,) = seen
    np.testing.assert_array_equal(pictures[0], PICTURE)
    np.testing.assert_array_equal(pictures[-1], PICTURE)
    np.testing.assert_array_equal(pictures[10], pictures[11])  # all deleted is none inserted


def test_masks_are_squashed_like_the_picture(tmp_path: Path) -> None:
    Image.fromarray(LESION).resize((256, 256), Image.Resampling.NEAREST).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "mask.png", SIZE), LESION)


def test_groups_are_averaged_apart() -> None:
    def row(value: float) -> dict[str, float]:
        return dict.fromkeys(FIGURES, value)

    judged = [Judged(0, True, row(0.2)), Judged(0, True, row(0.4)), Judged(1, False, row(1.0))]
    rows = summarise(judged, ("a", "b"))
    assert [(r["class"], r["prediction"], r["images"], r["energy"]) for r in rows] == [
        ("a", "right", 2, pytest.approx(0.3)),
        ("b", "wrong", 1, 1.0),
        ("all", "right", 2, pytest.approx(0.3)),
        ("all", "wrong", 1, 1.0),
    ]
