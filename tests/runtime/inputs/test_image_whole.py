"""PNG, WebP, AVIF, TIFF and BMP files that are not whole are rejected, whatever other libraries have told Pillow."""

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from broken_pictures import ALL, OTHERS, SKIN, encode
from PIL import Image, ImageFile

from dermedge_runtime import InputRejected
from dermedge_runtime.inputs.image import load_image, upright_rgb

PLACES = [0.01, 0.1, 0.4, 0.7, 0.9, 0.98]


@pytest.fixture(params=[False, True], ids=["strict", "LOAD_TRUNCATED_IMAGES"])
def lenient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", request.param)
    yield request.param
    assert request.param is ImageFile.LOAD_TRUNCATED_IMAGES  # it belongs to others


def rejection(content: object) -> str:
    with pytest.raises(InputRejected) as caught:
        load_image(content, 32)
    with pytest.raises(InputRejected):
        upright_rgb(content, 64)
    return str(caught.value)


@pytest.mark.parametrize("kind", ALL)
def test_a_cut_file(kind: str, lenient: bool, tmp_path: object) -> None:
    content = ALL[kind]
    if kind == "MPO":
        content = content[: content.find(b"\xff\xd9") + 2]
    for share in PLACES:
        part = content[: int(share * len(content))]
        for source in (part, bytearray(part), io.BytesIO(part)):
            assert "Cannot read" in rejection(source)
    load_image(content, 32)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's own, to the one who opens the file
@pytest.mark.parametrize("kind", ALL)
def test_a_cut_file_that_pillow_has_open(kind: str, lenient: bool) -> None:
    content = ALL[kind]
    if kind == "MPO":
        content = content[: content.find(b"\xff\xd9") + 2]
    for share in (0.6, 0.95):
        try:
            opened = Image.open(io.BytesIO(content[: int(share * len(content))]))
        except OSError:  # Pillow itself sees that nothing is there
            continue
        with opened:
            assert "Cannot read" in rejection(opened)
    with Image.open(io.BytesIO(content)) as opened:
        np.testing.assert_array_equal(load_image(opened, 32), load_image(np.asarray(upright_rgb(content)), 32))
        assert np.asarray(opened).shape[:2] == (149, 203)  # it is still the caller's to load


def test_a_format_that_only_pillow_knows(lenient: bool) -> None:
    content = encode(SKIN.quantize(64), "GIF")
    with Image.open(io.BytesIO(content)) as opened:
        if lenient:
            assert "LOAD_TRUNCATED_IMAGES" in rejection(opened)
        else:
            assert load_image(opened, 32).shape == (32, 32, 3)
    with Image.open(io.BytesIO(content[: len(content) // 2])) as opened:
        assert "Cannot read" in rejection(opened)


ZEROED = [kind for kind in OTHERS if kind not in ("TIFF", "BMP", "BMP palette")]  # there zeros are black pixels


@pytest.mark.parametrize("kind", ZEROED)
@pytest.mark.parametrize("fill", [b"\0", b"\xff"], ids=["zeros", "0xFF"])
def test_a_copy_that_broke(kind: str, fill: bytes, lenient: bool) -> None:
    content = OTHERS[kind]
    for share in (0.1, 0.4, 0.7):
        place = int(share * len(content))
        if kind == "WebP" and len(content) - place < 800:
            continue
        assert "Cannot read" in rejection(content[:place] + fill * (len(content) - place))


@pytest.mark.parametrize("kind", ["PNG", "TIFF LZW", "TIFF deflate", "TIFF JPEG"])
def test_a_hole_in_the_middle(kind: str, lenient: bool) -> None:
    content = OTHERS[kind]
    for filling in (bytes(512), b"\xff" * 512, np.random.default_rng(0).bytes(512)):
        for share in (0.3, 0.5, 0.8):
            place = int(share * len(content))
            assert "Cannot read" in rejection(content[:place] + filling + content[place + 512 :])


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(data: bytes, *before: bytes, height: int = 3, interlaced: int = 0) -> bytes:
    """Grey, 4 x `height` pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, height, 8, 0, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(before) + data + chunk(b"IEND", b"")


ROWS = b"\0abcd\1abcd\4abcd"


def test_a_png_of_our_own_is_read() -> None:
    packed = zlib.compress(ROWS)
    expected = np.asarray(Image.open(io.BytesIO(png(chunk(b"IDAT", packed)))))
    for data in (
        chunk(b"IDAT", packed),
        b"".join(chunk(b"IDAT", packed[k : k + 1]) for k in range(len(packed))) + chunk(b"IDAT", b""),
        chunk(b"IDAT", zlib.compress(ROWS + b"more")),
    ):
        np.testing.assert_array_equal(np.asarray(upright_rgb(png(data)))[..., 0], expected)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png(chunk(b"IDAT", zlib.compress(ROWS[:10]))), "incomplete"),  # Pillow leaves the last row black
        (png(chunk(b"IDAT", zlib.compress(ROWS[:-1]))), "incomplete"),
        (png(chunk(b"IDAT", zlib.compress(ROWS)[:-4])), "incomplete"),
        (png(chunk(b"IDAT", zlib.compress(ROWS)[:-1] + b"x")), "broken"),
        (png(chunk(b"IDAT", zlib.compress(b"\5" + ROWS[1:]))), "broken"),
        (png(chunk(b"IDAT", zlib.compress(ROWS))[:-1] + b"x"), "checksum of its IDAT"),
        (png(b""), "no pixel data"),
        (png(chunk(b"IDAT", zlib.compress(ROWS)), height=4), "incomplete"),
        (png(chunk(b"IDAT", zlib.compress(ROWS)), interlaced=1), "broken"),
        (png(chunk(b"IDAT", zlib.compress(ROWS + bytes(3 << 20)))), "too many"),
        (png(chunk(b"IDAT", zlib.compress(ROWS)[:5]) + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", b"")), "interrupted"),
        (png(chunk(b"IDAT", zlib.compress(ROWS)))[:-12], "breaks off"),
        (png(chunk(b"IDAT", zlib.compress(ROWS)))[:-1], "breaks off"),
        (png(chunk(b"IDAT", zlib.compress(ROWS)))[:-1] + b"x", "checksum of its IEND"),
    ],
)
def test_a_png_that_lacks_something(content: bytes, reason: str, lenient: bool) -> None:
    assert reason in rejection(content)


def test_every_interlaced_size_is_whole() -> None:
    for width in range(1, 18):
        for height in (1, 2, 3, 5, 8, 9):
            values = np.random.default_rng(width).integers(0, 256, (height, width), np.uint8)
            rows = b""
            for x, y, across, down in (
                (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)
            ):  # fmt: skip
                part = values[y::down, x::across]
                if part.size:
                    rows += b"".join(b"\0" + row.tobytes() for row in part)
            header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1))
            start = b"\x89PNG\r\n\x1a\n" + header
            end = chunk(b"IEND", b"")
            found = upright_rgb(start + chunk(b"IDAT", zlib.compress(rows)) + end)
            np.testing.assert_array_equal(np.asarray(found)[..., 0], values)
            assert "incomplete" in rejection(start + chunk(b"IDAT", zlib.compress(rows[:-1])) + end)


def test_a_broken_note_in_a_png_does_no_harm(lenient: bool) -> None:
    data = chunk(b"IDAT", zlib.compress(ROWS))
    bomb = b"name\0\0" + zlib.compress(bytes(40 << 20))
    notes = [
        chunk(b"tEXt", b"broken")[:-1] + b"x",
        chunk(b"iCCP", bomb),
        chunk(b"zTXt", bomb),
        chunk(b"acTL", b"\0" * 8),
    ]
    notes += [chunk(b"gAMA", b""), chunk(b"pHYs", b"1"), chunk(b"sRGB", b""), chunk(b"cHRM", b"")]
    np.testing.assert_array_equal(load_image(png(data, *notes), 8), load_image(png(data), 8))


def test_transparency_with_a_wrong_checksum_is_missed() -> None:
    data = chunk(b"IDAT", zlib.compress(ROWS))
    assert "checksum of its tRNS" in rejection(png(data, chunk(b"tRNS", b"\0a")[:-1] + b"x"))


def test_strips_that_are_missing(lenient: bool) -> None:
    for options in ({}, {"compression": "tiff_lzw"}, {"compression": "tiff_adobe_deflate"}, {"compression": "jpeg"}):
        content = encode(SKIN, "TIFF", tiffinfo={278: 16}, **options)
        assert load_image(content, 32).shape == (32, 32, 3)
        with Image.open(io.BytesIO(content)) as opened:
            offsets = opened.tag_v2[273]
        for last in (0, len(content) + 1, len(content) - 1):
            changed = content.replace(struct.pack("<I", offsets[-1]), struct.pack("<I", last))
            assert changed != content
            assert "Cannot read" in rejection(changed)
        fewer = struct.pack("<HHI", 273, 4, len(offsets)), struct.pack("<HHI", 273, 4, len(offsets) - 1)
        assert f"{len(offsets) - 1} of its {len(offsets)} parts" in rejection(content.replace(*fewer))


def test_a_jpeg_strip_that_breaks_off() -> None:
    content = encode(SKIN, "TIFF", compression="jpeg", tiffinfo={278: 16})
    with Image.open(io.BytesIO(content)) as opened:
        start, length = opened.tag_v2[273][3], opened.tag_v2[279][3]
    for fill in (bytes(200), b"\xff" * 200):
        place = start + length - 200
        assert "Cannot read" in rejection(content[:place] + fill + content[place + 200 :])


@pytest.mark.parametrize("kind", ["1", "L", "P", "RGB"])
def test_short_rows_of_a_bitmap(kind: str, lenient: bool) -> None:
    picture = SKIN.quantize(64) if kind == "P" else SKIN.convert(kind)
    content = encode(picture, "BMP")
    row = (203 * {"1": 1, "RGB": 24}.get(kind, 8) + 7) // 8
    filling = -row % 4
    np.testing.assert_array_equal(load_image(content[: len(content) - filling], 16), load_image(content, 16))
    assert "breaks off" in rejection(content[: len(content) - filling - 1])


def test_run_lengths_of_a_bitmap_that_end_early(lenient: bool) -> None:
    palette = b"".join(bytes((k, 0, 255 - k, 0)) for k in range(256))
    head = struct.pack("<IiiHHIIiiII", 40, 6, 2, 1, 8, 1, 0, 0, 0, 256, 0)

    def bitmap(data: bytes) -> bytes:
        start = 14 + len(head) + len(palette)
        return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + head + palette + data

    assert upright_rgb(bitmap(b"\6\1\0\0\6\2\0\1")).getpixel((0, 0)) == (253, 0, 2)
    for data in (b"", b"\6\1\0\0", b"\6\1\0\0\5\2", b"\6\1\0\0\5\2\0\1"):
        assert "Cannot read" in rejection(bitmap(data))
