"""Every kind of picture a clinic has is read alike: upright RGB, in the size the model asks for."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dermedge_runtime.inputs.image import RESAMPLING, load_image, picture_name, upright_rgb

CORNERS = {(0, 0): (230, 20, 20), (0, 1): (20, 200, 20), (1, 0): (20, 20, 210), (1, 1): (240, 240, 240)}


def quarters(width: int = 32, height: int = 24) -> Image.Image:
    """Draw a picture with a colour of its own in every quarter."""
    array = np.zeros((height, width, 3), np.uint8)
    for (row, column), colour in CORNERS.items():
        array[row * height // 2 : (row + 1) * height // 2, column * width // 2 : (column + 1) * width // 2] = colour
    return Image.fromarray(array)


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def pixels(source: Any) -> np.ndarray:
    return np.asarray(upright_rgb(source)).astype(int)


PICTURE = quarters()
GREY = PICTURE.convert("L")
SHARP = {"quality": 95, "subsampling": 0}


@pytest.mark.parametrize(
    ("image", "kind", "options", "tolerance"),
    [
        pytest.param(PICTURE, "JPEG", SHARP, 8, id="JPEG baseline"),
        pytest.param(PICTURE, "JPEG", SHARP | {"progressive": True}, 8, id="JPEG progressive"),
        pytest.param(PICTURE.convert("CMYK"), "JPEG", SHARP, 12, id="JPEG CMYK"),
        pytest.param(PICTURE, "MPO", {"save_all": True, "append_images": [GREY.convert("RGB")]}, 40, id="MPO"),
        pytest.param(PICTURE, "PNG", {}, 0, id="PNG"),
        pytest.param(PICTURE.quantize(4), "PNG", {}, 1, id="PNG palette"),
        pytest.param(PICTURE.convert("RGBA"), "PNG", {}, 0, id="PNG opaque alpha"),
        pytest.param(PICTURE, "WEBP", {"lossless": True}, 0, id="WebP lossless"),
        pytest.param(PICTURE, "WEBP", {"quality": 95}, 40, id="WebP lossy"),
        pytest.param(PICTURE, "AVIF", {"quality": 90, "subsampling": "4:4:4"}, 12, id="AVIF"),
        pytest.param(PICTURE, "TIFF", {}, 0, id="TIFF"),
        pytest.param(PICTURE, "TIFF", {"compression": "tiff_lzw"}, 0, id="TIFF LZW"),
        pytest.param(PICTURE, "BMP", {}, 0, id="BMP"),
    ],
)
def test_colour_pictures(image: Image.Image, kind: str, options: dict[str, Any], tolerance: int) -> None:
    found = pixels(encode(image, kind, **options))
    assert found.shape == (24, 32, 3)
    for (row, column), colour in CORNERS.items():
        assert np.abs(found[6 + 12 * row, 8 + 16 * column] - colour).max() <= tolerance


@pytest.mark.parametrize(("kind", "tolerance"), [("JPEG", 3), ("PNG", 0), ("AVIF", 4), ("TIFF", 0), ("BMP", 0)])
def test_grey_pictures_become_three_equal_channels(kind: str, tolerance: int) -> None:
    found = pixels(encode(GREY, kind, **(SHARP if kind == "JPEG" else {})))
    assert (found == found[..., :1]).all()
    assert np.abs(found[..., 0] - np.asarray(GREY).astype(int))[6::12, 8::16].max() <= tolerance


def test_black_and_white_bits() -> None:
    assert pixels(encode(Image.fromarray(np.array([[True, False]])), "PNG")).tolist() == [[[255] * 3, [0] * 3]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_gives_its_upper_eight_bits(kind: str) -> None:
    values = np.array([[0, 255, 256, 0x1234, 0x80FF, 65535]], np.uint16)
    found = pixels(encode(Image.fromarray(values), kind))
    assert found.tolist() == [[[level] * 3 for level in (0, 0, 1, 0x12, 0x80, 255)]]


def test_sixteen_bit_grey_of_the_other_byte_order() -> None:
    values = np.array([[0, 255, 256, 0x1234]], ">u2")
    big_endian = Image.frombytes("I;16B", (4, 1), values.tobytes())
    assert pixels(big_endian)[0, :, 0].tolist() == [0, 0, 1, 0x12]
    assert pixels(encode(big_endian, "TIFF"))[0, :, 0].tolist() == [0, 0, 1, 0x12]


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", None])
def test_transparency_is_laid_on_white(kind: str | None) -> None:
    rgba = np.array([[[200, 0, 0, 0], [200, 0, 0, 255], [0, 0, 0, 51], [0, 255, 0, 204]]], np.uint8)
    image = Image.fromarray(rgba)
    found = pixels(image if kind is None else encode(image, kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert found.tolist() == [[[255, 255, 255], [200, 0, 0], [204, 204, 204], [51, 255, 51]]]


def test_transparent_grey_is_laid_on_white() -> None:
    image = Image.fromarray(np.array([[[10, 0], [10, 255], [0, 51]]], np.uint8), "LA")
    assert pixels(encode(image, "PNG"))[0, :, 0].tolist() == [255, 10, 204]


def test_a_transparent_palette_entry_is_laid_on_white() -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([200, 0, 0, 0, 0, 200])
    image.putpixel((1, 0), 1)
    assert pixels(encode(image, "PNG", transparency=0)).tolist() == [[[255, 255, 255], [0, 0, 200]]]


# What the EXIF standard says a viewer has to do with the stored rows and columns.
DISPLAY = {
    1: lambda stored: stored,
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", DISPLAY)
def test_every_exif_orientation_comes_out_upright(orientation: int, kind: str) -> None:
    stored = np.full((16, 32, 3), 40, np.uint8)
    stored[0, 0] = stored[:8, :8] = (240, 30, 30)
    stored[-8:, :16] = (30, 30, 240)
    options = {"JPEG": SHARP, "WEBP": {"lossless": True}}.get(kind, {})
    found = pixels(encode(Image.fromarray(stored), kind, exif=oriented(orientation), **options))
    expected = DISPLAY[orientation](stored).astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= (40 if kind == "JPEG" else 0)


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_outside_the_standard_changes_nothing(orientation: int) -> None:
    found = pixels(encode(PICTURE, "PNG", exif=oriented(orientation)))
    np.testing.assert_array_equal(found, np.asarray(PICTURE))


def test_every_source_gives_the_same_pixels(tmp_path: Path) -> None:
    path = tmp_path / "läsion.png"
    PICTURE.save(path)
    content = path.read_bytes()
    opened = Image.open(path)
    expected = load_image(np.asarray(PICTURE), 20)
    assert (expected.shape, expected.dtype) == ((20, 20, 3), np.uint8)
    for source in (path, str(path), content, io.BytesIO(content), PICTURE, opened, np.asarray(PICTURE)):
        np.testing.assert_array_equal(load_image(source, 20), expected, strict=True)
    with path.open("rb") as stream:
        stream.read(5)
        np.testing.assert_array_equal(load_image(stream, 20), expected, strict=True)
        assert not stream.closed
    assert np.asarray(opened).shape == (24, 32, 3)


def test_a_grey_array_and_a_view_of_one() -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert load_image(grey, 8)[..., 1].tolist() == grey.tolist()
    assert load_image(grey[::-1, ::2], 4).shape == (4, 4, 3)
    np.testing.assert_array_equal(np.asarray(upright_rgb(grey[::-1, ::2]))[..., 2], grey[::-1, ::2])


def test_the_callers_image_is_left_as_it_was() -> None:
    image = PICTURE.copy()
    image.getexif()[0x0112] = 6
    assert upright_rgb(image).size == (24, 32)
    assert (image.size, image.getexif()[0x0112]) == ((32, 24), 6)


@pytest.mark.parametrize("resample", RESAMPLING)
def test_the_frame_is_squashed_with_the_named_filter(resample: str) -> None:
    expected = PICTURE.resize((7, 7), getattr(Image.Resampling, resample.upper()))
    np.testing.assert_array_equal(load_image(PICTURE, 7, resample), np.asarray(expected))


def test_bilinear_averages_all_pixels_when_it_shrinks() -> None:
    stripes = np.zeros((32, 32), np.uint8)
    stripes[:, ::4] = 200
    assert np.abs(load_image(stripes, 2).astype(int) - 50).max() <= 8


def test_pictures_are_named_in_messages(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PICTURE.save(path)
    with path.open("rb") as stream, Image.open(path) as image:
        sources = [None, str(path), path, stream, image, b"abc", PICTURE, np.zeros((2, 2), np.uint8), io.BytesIO()]
        found = [picture_name(source) for source in sources]
    assert found == ["<no image>", *[str(path)] * 4, "<3 bytes>", "<Image>", "<ndarray>", "<BytesIO>"]
