from dataclasses import replace

import numpy as np
import pytest
import torch

from dermedge.data.batches.lesion_data import LesionData
from dermedge.data.cache.on_gpu import fits, keep_on_device

CPU = torch.device("cpu")


def made(count: int) -> LesionData:
    rng = np.random.default_rng(count)
    pixels = rng.integers(0, 256, (count, 5, 4, 3), dtype=np.uint8)
    pixels.flags.writeable = False  # as a memory-mapped file
    categorical = np.zeros((count, 2), dtype=np.int32)
    return LesionData(pixels, np.zeros((count, 1), dtype=np.float32), categorical, np.arange(count))


@pytest.mark.parametrize(("data", "free", "expected"), [(49, 100, True), (50, 100, False), (0, 0, False)])
def test_pictures_fit_in_less_than_half_of_the_free_memory(data, free, expected):
    assert fits(data, free) is expected


def test_all_parts_move_together_or_none():
    parts = [made(600), made(10)]  # 60 bytes a picture; more than one piece
    tight = keep_on_device(parts, CPU, lambda device: 2 * 610 * 60)
    assert [part.resident for part in tight] == [None, None]
    roomy = keep_on_device(parts, CPU, lambda device: 2 * 610 * 60 + 1)
    for part, kept in zip(parts, roomy, strict=True):
        assert kept.resident is not None and kept.resident.dtype == torch.uint8
        np.testing.assert_array_equal(kept.resident.numpy(), part.pixels)


def test_batches_are_the_same_from_the_device_and_change_nothing_there():
    data = made(20)
    (kept,) = keep_on_device([data], CPU, lambda device: 10**9)
    order = np.random.default_rng(0).permutation(20)[::2]
    pairs = list(zip(data.batches(order, 4, CPU), kept.batches(order, 4, CPU), strict=True))
    assert len(pairs) == 3
    for plain, resident in pairs:
        assert torch.equal(plain.image, resident.image)
        assert resident.image.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(plain.label, resident.label)
        resident.image.zero_()
    np.testing.assert_array_equal(kept.resident.numpy(), data.pixels)


def test_on_a_cpu_and_without_pictures_nothing_moves():
    assert keep_on_device([made(3)], CPU)[0].resident is None
    bare = replace(made(3), pixels=None)
    assert keep_on_device([bare], CPU, lambda device: 10**9) == [bare]


def test_without_pixels_the_free_memory_is_not_even_asked_for():
    def fail(device: torch.device) -> int:
        raise AssertionError

    assert len(keep_on_device([replace(made(3), pixels=None)], CPU, fail)) == 1
