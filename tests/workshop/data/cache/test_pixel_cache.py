import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermedge.config import TrainConfig
from dermedge.data.cache import pixel_cache
from dermedge.data.cache.pixel_cache import load_pixels, pixels_key
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.image import DETAIL, load_image


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DERMEDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pixels"


def picture(path: Path, seed: int, size: tuple[int, int] = (50, 40)) -> Path:
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    return path


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    names = ("c.jpg", "a.png", "b.jpg", "d.png")
    return [picture(tmp_path / name, seed, (40 + 9 * seed, 30)) for seed, name in enumerate(names)]


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch):
    """A switch: from its call on, decoding a picture fails the test."""

    def refuse(path: Path, *_: object) -> None:
        raise AssertionError(f"{path} was decoded again")

    return lambda: monkeypatch.setattr(pixel_cache, "load_image", refuse)


def expected(paths: list[Path], size: int = 16, resample: str = "bilinear") -> np.ndarray:
    return np.stack([load_image(path, size, resample) for path in paths])


@pytest.mark.parametrize(("size", "resample"), [(16, "bilinear"), (16, "nearest"), (64, "lanczos")])
def test_pixels_are_exactly_those_of_load_image(paths, size, resample):
    pixels = load_pixels(paths, size, resample)
    assert pixels.dtype == np.uint8
    assert not pixels.flags.writeable
    np.testing.assert_array_equal(pixels, expected(paths, size, resample))


def test_another_detail_is_another_array_and_the_usual_one_keeps_its_name(tmp_path):
    large = [picture(tmp_path / "large.jpg", 5, (120, 90))]
    usual = np.array(load_pixels(large, 32, "bilinear"))
    less = load_pixels(large, 32, "bilinear", 1)
    np.testing.assert_array_equal(less[0], load_image(large[0], 32, detail=1))
    assert not np.array_equal(usual, less)
    assert pixels_key(large, 32, "bilinear") == pixels_key(large, 32, "bilinear", 2)
    assert pixels_key(large, 32, "bilinear") != pixels_key(large, 32, "bilinear", 1)


def test_a_run_reads_with_its_detail(tmp_path):
    assert TrainConfig(data="").jpeg_detail == DETAIL
    record = TrainConfig(data="", jpeg_detail=1).to_record()
    assert TrainConfig.from_record(record).jpeg_detail == 1
    del record["jpeg_detail"]
    assert TrainConfig.from_record(record).jpeg_detail == DETAIL, "a run from before there was a choice"


def test_a_second_call_decodes_nothing(paths, no_decoding):
    first = np.array(load_pixels(paths, 16, "bilinear"))
    no_decoding()
    np.testing.assert_array_equal(load_pixels(paths, 16, "bilinear"), first)


def test_another_order_is_another_array(paths):
    load_pixels(paths, 16, "bilinear")
    np.testing.assert_array_equal(load_pixels(paths[::-1], 16, "bilinear"), expected(paths[::-1]))


def test_another_size_or_filter_is_another_array(paths, cache):
    for size, resample in ((16, "bilinear"), (16, "nearest"), (17, "bilinear")):
        np.testing.assert_array_equal(load_pixels(paths, size, resample), expected(paths, size, resample))
    assert len(list(cache.glob("*.u8"))) == 3


def test_changed_content_is_decoded_again(paths):
    load_pixels(paths, 16, "bilinear")
    picture(paths[1], seed=99)
    pixels = load_pixels(paths, 16, "bilinear")
    np.testing.assert_array_equal(pixels, expected(paths))


def test_content_of_the_same_length_is_told_apart_by_its_time(tmp_path):
    path = picture(tmp_path / "a.bmp", seed=1)
    length = path.stat().st_size
    os.utime(path, (1000, 1000))
    load_pixels([path], 16, "bilinear")
    picture(path, seed=2)
    os.utime(path, (1001, 1001))
    assert path.stat().st_size == length
    np.testing.assert_array_equal(load_pixels([path], 16, "bilinear"), expected([path]))


def test_a_touched_or_moved_picture_is_not_decoded_again(paths, no_decoding):
    first = np.array(load_pixels(paths, 16, "bilinear"))
    os.utime(paths[0], (1, 1))
    moved = paths[2].rename(paths[2].with_name("elsewhere.jpg"))
    no_decoding()
    np.testing.assert_array_equal(load_pixels([*paths[:2], moved, paths[3]], 16, "bilinear"), first)


def test_a_short_cache_file_is_rebuilt(paths, cache):
    load_pixels(paths, 16, "bilinear")
    (file,) = cache.glob("*.u8")
    file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(load_pixels(paths, 16, "bilinear"), expected(paths))


def test_a_damaged_memory_of_hashes_is_rebuilt(paths, cache, no_decoding):
    load_pixels(paths, 16, "bilinear")
    (cache / "content-hashes.json").write_text('{"half', encoding="utf-8")
    no_decoding()
    np.testing.assert_array_equal(load_pixels(paths, 16, "bilinear"), expected(paths))


def test_unreadable_pictures_are_all_named_and_nothing_is_left_behind(paths, cache):
    paths[0].write_bytes(b"no picture")
    paths[2].write_bytes(paths[2].read_bytes()[:200])
    with pytest.raises(InputRejected, match=r"^2 of 4 images cannot be read") as caught:
        load_pixels(paths, 16, "bilinear")
    assert str(paths[0]) in str(caught.value) and str(paths[2]) in str(caught.value)
    assert str(paths[1]) not in str(caught.value)
    assert [file.name for file in cache.iterdir()] == ["content-hashes.json"]


def test_of_many_unreadable_pictures_the_first_five_are_named(tmp_path):
    broken = [tmp_path / f"broken-{index}.jpg" for index in range(7)]
    for path in broken:
        path.write_bytes(b"no picture")
    with pytest.raises(InputRejected, match=r"^7 of 7 images cannot be read") as caught:
        load_pixels(broken, 16, "bilinear")
    assert [path.name in str(caught.value) for path in broken] == [True] * 5 + [False] * 2


def test_a_picture_that_went_away_is_rejected_by_name(paths):
    paths[1].unlink()
    with pytest.raises(InputRejected, match="1 of 4 images cannot be read") as caught:
        load_pixels(paths, 16, "bilinear")
    assert str(paths[1]) in str(caught.value)


def test_no_pictures_are_an_empty_array():
    assert load_pixels([], 16, "bilinear").shape == (0, 16, 16, 3)
