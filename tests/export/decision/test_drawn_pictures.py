"""Drawn outliers and other cameras: repeatable, of every kind, and as they are meant."""

import numpy as np
from PIL import Image

from dermedge.data.synthetic_picture import picture
from dermedge_export.decision.other_cameras import by_another_camera
from dermedge_export.decision.outliers import DRAWN, outliers


def photograph(seed: int = 0) -> Image.Image:
    return picture("mel", np.random.default_rng(seed))


def detail(image: Image.Image) -> float:
    """Mean change from one pixel to the next, after a soft blur by compression is over."""
    grey = np.asarray(image.convert("L"), dtype=np.float64)
    return float(np.abs(np.diff(grey, axis=1)).mean())


def test_every_kind_is_drawn_alike_from_one_seed_and_otherwise_from_another():
    one, same, other = (outliers([photograph()], 2, seed) for seed in (0, 0, 1))
    assert set(one) == {*DRAWN, "skin from afar"}
    for kind, pictures in one.items():
        assert len(pictures) == 2 and all(each.mode == "RGB" and each.size == (300, 225) for each in pictures)
        assert [each.tobytes() for each in pictures] == [each.tobytes() for each in same[kind]]
        assert pictures[0].tobytes() not in (pictures[1].tobytes(), other[kind][0].tobytes())


def test_another_camera_shows_finer_detail_at_the_same_size():
    soft = photograph().resize((60, 45)).resize((200, 150), Image.Resampling.BICUBIC)
    rng = np.random.default_rng(0)
    found = [by_another_camera(soft, rng) for _ in range(20)]
    assert all(each.size == (200, 150) and each.mode == "RGB" for each in found)
    assert np.median([detail(each) for each in found]) > 1.2 * detail(soft)
