"""A picture that cannot be used is an `InputRejected` that says which one and why, never anything else."""

import io
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dermedge_runtime import InputRejected
from dermedge_runtime.inputs import picture_memory
from dermedge_runtime.inputs.image import load_image

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8))


def encode(picture: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def rejection(source: Any) -> str:
    with pytest.raises(InputRejected) as caught:
        load_image(source, 16)
    assert caught.value.exit_code == 3
    return str(caught.value)


def bitmap_header(width: int, height: int) -> bytes:
    """Give the head of a BMP file without any pixels."""
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, *[0] * 6)


def test_what_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing.jpg"
    assert rejection(missing) == f"Cannot read the image {missing}: there is no such file."
    assert rejection(str(missing)) == f"Cannot read the image {missing}: there is no such file."
    assert rejection(tmp_path) == f"Cannot read the image {tmp_path}: it is a folder."


@pytest.mark.parametrize(
    "content", [b"", b"patient,age\n1,55\n", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"%PDF"]
)
def test_content_that_is_no_picture(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    for source, name in ((path, str(path)), (content, f"<{len(content)} bytes>"), (io.BytesIO(content), "<BytesIO>")):
        assert name in rejection(source)


@pytest.mark.parametrize("content", [b"", b"some text"])
def test_the_message_lists_the_formats(content: bytes) -> None:
    formats = r" its content is no picture of a known format \(JPEG, (MPO, )?PNG, WEBP, AVIF, TIFF, BMP\)\.$"
    assert re.search(formats, rejection(content))


def test_formats_outside_the_list_are_not_opened() -> None:
    assert "no picture of a known format" in rejection(encode(NOISE, "GIF"))
    assert "no picture of a known format" in rejection(encode(NOISE, "PPM"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_picture(tmp_path: Path, kind: str, share: float) -> None:
    content = encode(NOISE, kind)
    path = tmp_path / "photo"
    path.write_bytes(content[: int(len(content) * share)])
    assert str(path) in rejection(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_truncated_picture_asks_whether_the_file_is_complete(kind: str) -> None:
    content = encode(NOISE, kind)
    assert rejection(content[: len(content) * 3 // 4]).endswith(" Is the file complete?")


@pytest.mark.parametrize("side", [10_001, 20_000, 60_000])
def test_a_huge_size_is_refused_from_the_header_alone(side: int) -> None:
    text = rejection(bitmap_header(side, side))
    assert "over the limit of 100 megapixels" in text
    assert "<54 bytes>" in text


def test_the_message_names_the_size() -> None:
    assert "is 10001 x 10000 pixels" in rejection(bitmap_header(10_001, 10_000))
    assert "is 10001 x 10000 pixels" in rejection(np.broadcast_to(np.uint8(0), (10_000, 10_001)))


def test_a_size_at_the_limit_is_not_refused_for_its_size() -> None:
    assert "Is the file complete?" in rejection(bitmap_header(10_000, 10_000))


def test_the_limit_holds_for_pillow_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_memory, "MAX_PIXELS", 32 * 24)
    assert load_image(NOISE, 16).shape == (16, 16, 3)
    monkeypatch.setattr(picture_memory, "MAX_PIXELS", 32 * 24 - 1)
    assert "is 32 x 24 pixels" in rejection(NOISE)


@pytest.mark.parametrize(
    ("array", "mend"),
    [
        (np.zeros((8, 8, 3), np.float32), " Give (array * 255).round().astype(np.uint8) if its values are 0 to 1."),
        (np.zeros((8, 8, 3), np.int64), " Give array.astype(np.uint8) if its values are 0 to 255."),
        (np.zeros((8, 8), np.uint16), " Give (array >> 8).astype(np.uint8) if it uses all 16 bits."),
        (np.zeros((8, 8), bool), " Give array.astype(np.uint8) * 255."),
        (
            np.zeros((8, 8, 4), np.uint8),
            " Give Image.fromarray(array), whose transparency is laid on white, or array[..., :3].",
        ),
        (np.zeros((8, 8, 1), np.uint8), " Give array[..., 0]."),
        (np.zeros((3, 8, 8), np.uint8), " Give array.transpose(1, 2, 0)."),
        (np.zeros((1, 8, 8, 3), np.uint8), " Give one picture at a time."),
        (np.zeros(8, np.uint8), ""),
        (np.zeros((5, 8, 7), np.uint8), ""),
        (np.zeros((0, 8, 3), np.uint8), " It is empty."),
        (np.zeros((8, 0), np.uint8), " It is empty."),
    ],
    ids=lambda value: f"{value.dtype}{list(value.shape)}" if isinstance(value, np.ndarray) else "",
)
def test_arrays_of_another_type_or_shape(array: np.ndarray, mend: str) -> None:
    assert rejection(array) == (
        "An image array must be uint8 of shape [height, width, 3] (red, green, blue) or [height, width],"
        f" got {array.dtype} {list(array.shape)}.{mend}"
    )


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_32_bits_per_pixel(dtype: type[np.generic]) -> None:
    picture = Image.fromarray(np.ones((8, 8), dtype))
    for source in (picture, encode(picture, "TIFF")):
        assert "has 32 bits per pixel, whose range is unknown. Save it with 8 or 16 bits." in rejection(source)


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_a_pillow_image_without_pixels(size: tuple[int, int]) -> None:
    assert "<Image>" in rejection(Image.new("RGB", size))


def test_a_closed_pillow_image(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    NOISE.save(path)
    with Image.open(path) as picture:
        pass
    assert str(path) in rejection(picture)


def test_a_file_open_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("some text, opened as text")
    with path.open() as stream:
        assert str(path) in rejection(stream)


def test_a_jpeg_of_more_bits() -> None:
    content = bytearray(encode(NOISE, "JPEG"))
    content[content.find(b"\xff\xc0") + 4] = 12
    assert rejection(bytes(content)).endswith("has 12 bits per channel, and JPEG is read with 8. Save it with 8 bits.")


EXIF = Image.Exif()
EXIF[0x0112] = 6
SMALL = NOISE.resize((8, 8))
FILES = [
    *(encode(SMALL, kind, exif=EXIF) for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF")),
    encode(SMALL, "BMP"),
    encode(SMALL, "TIFF", compression="tiff_lzw"),
    encode(SMALL.quantize(8), "PNG", transparency=0),
    encode(SMALL, "JPEG", progressive=True),
]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_damaged_picture_is_read_or_rejected(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(FILES)))
    places = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, min_size=1, max_size=4)):
        content[place] = value
    try:
        found = load_image(bytes(content), 4)
    except InputRejected:
        return
    assert (found.shape, found.dtype) == ((4, 4, 3), np.uint8)
