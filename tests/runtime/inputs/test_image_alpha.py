"""Transparency is laid on white, as seen before or after the picture shrinks; what is hidden stays hidden."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from broken_pictures import encode
from PIL import Image

from dermedge_runtime import InputRejected
from dermedge_runtime.inputs import picture_rows
from dermedge_runtime.inputs.image import RESAMPLING, load_image, upright_rgb

RNG = np.random.default_rng(0)
COLOURS = np.asarray(Image.fromarray(RNG.integers(0, 256, (9, 11, 3), np.uint8)).resize((260, 190)))
ALPHA = np.asarray(Image.fromarray(RNG.integers(0, 256, (7, 5), np.uint8)).resize((260, 190)))
RGBA = np.dstack([COLOURS, ALPHA])


def laid_on_white(rgba: np.ndarray) -> np.ndarray:
    opacity = rgba[..., 3:].astype(float) / 255
    return rgba[..., :3] * opacity + 255 * (1 - opacity)


@pytest.mark.parametrize("resample", RESAMPLING)
@pytest.mark.parametrize("size", [31, 96, 300])
def test_before_and_after_shrinking_is_the_same(resample: str, size: int) -> None:
    before = load_image(laid_on_white(RGBA).round().astype(np.uint8), size, resample)
    tolerance = 4 if resample in ("bicubic", "lanczos") else 2
    for source in (Image.fromarray(RGBA), encode(Image.fromarray(RGBA), "PNG"), encode(Image.fromarray(RGBA), "TIFF")):
        assert np.abs(load_image(source, size, resample).astype(int) - before).max() <= tolerance


@pytest.mark.parametrize("resample", RESAMPLING)
def test_opaque_alpha_changes_nothing(resample: str) -> None:
    opaque = np.dstack([COLOURS, np.full_like(ALPHA, 255)])
    expected = load_image(COLOURS, 64, resample)
    np.testing.assert_array_equal(load_image(Image.fromarray(opaque), 64, resample), expected)
    np.testing.assert_array_equal(load_image(encode(Image.fromarray(opaque), "PNG"), 64, resample), expected)


@pytest.mark.parametrize("hidden", [(255, 0, 0), (0, 0, 0), (0, 255, 0)])
def test_a_hidden_colour_shows_nowhere(hidden: tuple[int, int, int]) -> None:
    stripes = np.full((64, 64, 4), (200, 150, 140, 255), np.uint8)
    stripes[::2] = (*hidden, 0)
    expected = (np.array([200, 150, 140]) + 255) / 2
    for resample in ("bilinear", "bicubic", "lanczos"):
        found = load_image(Image.fromarray(stripes), 8, resample)[2:-2]
        assert np.abs(found - expected).max() <= 2


def palettes() -> dict[str, Any]:
    picture = Image.fromarray(COLOURS).quantize(32)
    return {
        "one entry": encode(picture, "PNG", transparency=3),
        "by entry": encode(picture, "PNG", transparency=bytes(range(0, 256, 8))),
        "grey": encode(Image.fromarray(ALPHA), "PNG", transparency=int(ALPHA[50, 50])),
        "colour": encode(Image.fromarray(COLOURS), "PNG", transparency=tuple(int(v) for v in COLOURS[50, 50])),
        "grey and alpha": encode(Image.fromarray(RGBA).convert("LA"), "PNG"),
        "WebP": encode(Image.fromarray(RGBA), "WEBP", lossless=True, exact=True),
        "AVIF": encode(Image.fromarray(RGBA), "AVIF", quality=90),
    }


@pytest.mark.parametrize("kind", palettes())
def test_bands_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = palettes()[kind]
    whole, upright = load_image(content, 64), np.asarray(upright_rgb(content))
    with Image.open(io.BytesIO(content)) as opened:
        expected = laid_on_white(np.asarray(opened.convert("RGBA")))
    assert np.abs(upright - expected).max() <= 2
    monkeypatch.setattr(picture_rows, "_WHOLE_PIXELS", 1000)
    monkeypatch.setattr(picture_rows, "_BAND_PIXELS", 5000)
    monkeypatch.setattr(picture_rows, "_STRIP_BYTES", 10_000)
    np.testing.assert_array_equal(np.asarray(upright_rgb(content)), upright)
    assert np.abs(load_image(content, 64).astype(int) - whole).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "I;16", "La", "RGBa", "PA", "RGBX"])
@pytest.mark.parametrize("resample", RESAMPLING)
def test_bands_of_every_mode(mode: str, resample: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Image.fromarray(RGBA)
    steps = {"La": ("LA", "La"), "I;16": ("L", "I;16"), "PA": ("RGB", "P", "PA"), "RGBa": ("RGBa",)}
    for step in steps.get(mode, ("RGB", mode)):
        picture = picture.convert(step)
    whole = [load_image(picture, size, resample).astype(int) for size in (20, 64)]
    upright = np.asarray(upright_rgb(picture))
    monkeypatch.setattr(picture_rows, "_WHOLE_PIXELS", 1000)
    monkeypatch.setattr(picture_rows, "_BAND_PIXELS", 9000)
    monkeypatch.setattr(picture_rows, "_STRIP_BYTES", 10_000)
    for size, expected in zip((20, 64), whole, strict=True):
        assert np.abs(load_image(picture, size, resample) - expected).max() <= 2
    np.testing.assert_array_equal(np.asarray(upright_rgb(picture)), upright)


def png(depth: int, colour: int, rows: bytes, width: int, transparent: bytes) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tRNS", transparent), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in chunks)


@pytest.mark.parametrize(
    ("depth", "rows", "transparent", "expected"),
    [
        (1, b"\0\x40", 0, [255, 255]),
        (1, b"\0\x40", 1, [0, 255]),
        (2, b"\0\x60", 1, [255, 170]),
        (4, b"\0\x27", 2, [255, 119]),
        (8, b"\0\x27\x28", 0x27, [255, 40]),
        (16, b"\0\x27\x05\x27\x06", 0x2705, [255, 39]),
    ],
)
def test_a_transparent_level_of_grey(depth: int, rows: bytes, transparent: int, expected: list[int]) -> None:
    found = upright_rgb(png(depth, 0, rows, 2, struct.pack(">H", transparent)))
    assert np.asarray(found)[0, :, 0].tolist() == expected


def test_a_transparent_colour_of_sixteen_bits_is_refused() -> None:
    with pytest.raises(InputRejected, match=r"transparent colour with 16 bits per channel\. Save it with 8 bits"):
        load_image(png(16, 2, b"\0" + bytes(6), 1, bytes(6)), 8)
