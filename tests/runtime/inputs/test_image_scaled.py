"""A large JPEG file is scaled down while it is decoded: nearly the same pixels, in every kind of file."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_tiny_model import SIZE as TINY_SIZE
from make_tiny_model import build, describe_as, tiny_spec
from PIL import Image

from dermedge_runtime import Classifier, InputRejected
from dermedge_runtime.inputs.image import DETAIL, DETAILS, load_image, load_sized, upright_rgb
from dermedge_runtime.model.digest import sealed

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


@pytest.mark.parametrize(("factor", "scaled"), [(1.9, False), (2, True), (3.9, True)])
def test_of_less_detail_is_scaled_what_is_twice_as_large(factor: float, scaled: bool) -> None:
    content = jpeg(scene(50 * SIZE, int(factor * SIZE)))
    found = load_image(content, SIZE, detail=1)
    assert np.array_equal(found, whole(content)) is not scaled
    with Image.open(io.BytesIO(content)) as opened:  # Pillow's own scaling, by libjpeg too
        opened.draft("RGB", (opened.width // 2, opened.height // 2) if scaled else opened.size)
        box = (0, 0, 50 * SIZE / 2, int(factor * SIZE) / 2) if scaled else None
        expected = np.asarray(opened.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box))
    np.testing.assert_array_equal(found, expected)
    assert np.abs(found - whole(content)).mean() < 1.5


def test_more_or_less_detail_than_there_is_is_refused() -> None:
    assert (DETAIL, DETAILS) == (2, (1, 2)), "files and runs that do not say were read with 2"
    for detail in (0, 3):
        with pytest.raises(ValueError, match=f"^detail is {detail}, known are 1, 2$"):
            load_image(jpeg(LARGE), SIZE, detail=detail)


def test_a_model_file_reads_with_the_detail_that_it_was_trained_with(tmp_path: Path) -> None:
    picture = tmp_path / "large.jpg"
    picture.write_bytes(jpeg(scene(3 * TINY_SIZE, 3 * TINY_SIZE)))
    for detail in DETAILS:
        spec = tiny_spec()
        spec = replace(spec, image=replace(spec.image, detail=detail))
        file = tmp_path / "m.onnx"
        file.write_bytes(sealed(describe_as(build(), spec).SerializeToString(), file.name))
        model = Classifier(file, "cpu")
        found = model.predict(picture, age=40)
        pixels = load_image(picture, TINY_SIZE, detail=detail)[None]
        expected = model.run(pixels, *model.spec.clinical.encode([{"age": 40}]))["probabilities"][0]
        assert list(found.probabilities.values()) == [float(value) for value in expected]
        assert found.upright().size == (3 * TINY_SIZE, 3 * TINY_SIZE), "the file is known again"
    assert not np.array_equal(load_image(picture, TINY_SIZE, detail=1), load_image(picture, TINY_SIZE, detail=2))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "TIFF", "BMP"])
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
