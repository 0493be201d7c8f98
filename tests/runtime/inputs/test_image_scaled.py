"""A large JPEG file is scaled down while it is decoded: nearly the same pixels, in every kind of file."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dermedge_runtime import InputRejected
from dermedge_runtime.inputs.image import load_image, load_sized, upright_rgb

SIZE = 32


def scene(width: int, height: int) -> Image.Image:
    """Draw soft spots of all colours on skin, with fine grain."""
    rng = np.random.default_rng(width + height)
    coarse = rng.integers(60, 220, (9, 11, 3), np.uint8)
    soft = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    return Image.fromarray((soft + rng.integers(-12, 13, soft.shape)).clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **{"quality": 92, **options})
    return stream.getvalue()


def whole(content: bytes, resample: str = "bilinear") -> np.ndarray:
    """Decode everything, then turn, then squash: what a picture without scaling goes through."""
    return load_image(np.asarray(upright_rgb(content)), SIZE, resample).astype(int)


LARGE = scene(40 * SIZE + 5, 12 * SIZE + 3)
EXIF = Image.Exif()
EXIF[0x0112] = 6


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(jpeg(LARGE), id="baseline"),
        pytest.param(jpeg(LARGE, progressive=True), id="progressive"),
        pytest.param(jpeg(LARGE, subsampling=0), id="full colour"),
        pytest.param(jpeg(LARGE.convert("CMYK")), id="CMYK"),
        pytest.param(jpeg(LARGE.convert("L")), id="grey"),
        pytest.param(jpeg(LARGE, "MPO", save_all=True, append_images=[LARGE.convert("L").convert("RGB")]), id="MPO"),
        pytest.param(jpeg(LARGE, exif=EXIF), id="turned"),
        pytest.param(jpeg(scene(16 * SIZE + 1, 17 * SIZE + 7)), id="an eighth, with a rest"),
    ],
)
@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "lanczos"])
def test_the_pixels_hardly_change(content: bytes, resample: str) -> None:
    change = np.abs(load_image(content, SIZE, resample) - whole(content, resample))
    assert 0 < change.max() <= 8
    assert change.mean() < 0.6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_stands_upright_and_tells_its_own_size(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = jpeg(LARGE, exif=exif)
    found, size = load_sized(content, SIZE)
    assert np.abs(found - whole(content)).mean() < 0.6
    assert size == upright_rgb(content).size


@pytest.mark.parametrize(("factor", "scaled"), [(3.9, False), (4, True), (9, True)])
def test_only_what_is_four_times_as_large_is_scaled(factor: float, scaled: bool) -> None:
    content = jpeg(scene(50 * SIZE, int(factor * SIZE)))
    assert np.array_equal(load_image(content, SIZE), whole(content)) is not scaled


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP"])
def test_other_kinds_are_decoded_whole(kind: str) -> None:
    stream = io.BytesIO()
    LARGE.save(stream, kind)
    np.testing.assert_array_equal(load_image(stream.getvalue(), SIZE), whole(stream.getvalue()))


def test_the_callers_image_is_not_scaled() -> None:
    opened = Image.open(io.BytesIO(jpeg(LARGE)))
    np.testing.assert_array_equal(load_image(opened, SIZE), whole(jpeg(LARGE)))
    assert opened.size == LARGE.size


@pytest.mark.parametrize("orientation", range(2, 9))
def test_turning_after_squashing_is_turning_before(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    scene(3 * SIZE, 2 * SIZE + 5).save(stream, "PNG", exif=exif)
    assert np.abs(load_image(stream.getvalue(), SIZE) - whole(stream.getvalue())).max() <= 1


def test_a_truncated_large_file_is_rejected() -> None:
    content = jpeg(LARGE)
    with pytest.raises(InputRejected, match="complete"):
        load_image(content[: len(content) // 2], SIZE)
