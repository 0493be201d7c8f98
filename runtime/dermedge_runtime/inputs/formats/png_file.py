"""Decode a PNG file, strictly: every checksum that concerns pixels, and every row, must be there.

Covered: all colour types and depths, interlacing, transparent colours, EXIF orientation (also as ImageMagick keeps it).
Not covered: the further frames of an animation, and text and colour profiles, which are not even unpacked.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from PIL import Image

from dermedge_runtime.inputs.orientation import read_orientation
from dermedge_runtime.inputs.picture_memory import Damaged, Unsuitable, check_size

from .deflated import unpacked
from .stored_picture import StoredPicture

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MODES = {
    (0, 1): ("1", "1"), (0, 2): ("L", "L;2"), (0, 4): ("L", "L;4"), (0, 8): ("L", "L"), (0, 16): ("I;16", "I;16B"),
    (2, 8): ("RGB", "RGB"), (2, 16): ("RGB", "RGB;16B"),
    (3, 1): ("P", "P;1"), (3, 2): ("P", "P;2"), (3, 4): ("P", "P;4"), (3, 8): ("P", "P"),
    (4, 8): ("LA", "LA"), (4, 16): ("RGBA", "LA;16B"),
    (6, 8): ("RGBA", "RGBA"), (6, 16): ("RGBA", "RGBA;16B"),
}  # fmt: skip
"""By colour type and depth, Pillow's mode and its raw mode."""
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_HELD = {"1": 1, "L": 1, "P": 1, "I;16": 2}
# By pass: first column and row, steps across and down.
_INTERLACED = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE = 1 << 20
_LARGEST_TEXT = 1 << 20
_MOST_PIECES = 200_000  # a picture of 100 megapixels has about 50,000
_EXIF_AS_TEXT = (b"Raw profile type exif\0", b"Raw profile type APP1\0")


@dataclass(slots=True)
class _Png:
    """What the chunks tell."""

    size: tuple[int, int] = (0, 0)
    depth: int = 0
    colour: int = 0
    interlaced: bool = False
    palette: bytes = b""
    transparent: bytes | None = None
    data: list[memoryview] = field(default_factory=list)
    exif: bytes | None = None
    xmp: bytes | None = None


def read_png(content: bytes) -> StoredPicture:
    """Decode a PNG file.

    :raises Damaged: it is not whole.
    :raises Unsuitable: it is too large, or its transparent colour cannot be told apart.
    """
    png = _read_chunks(content)
    mode, raw = _MODES[png.colour, png.depth]
    _check_rows(png)
    image = Image.new(mode, png.size)
    if mode == "P":
        if not png.palette:
            raise Damaged("its palette is missing")
        image.putpalette(png.palette)
    _decode(image, raw, png)
    if png.transparent is not None:
        _note_transparency(image, png)
    return StoredPicture.whole(image, read_orientation(png.exif, png.xmp))


def _read_chunks(content: bytes) -> _Png:
    png, last = _Png(), b""
    for name, body, sound in _chunks(content):
        if (name == b"IHDR") == bool(last):
            raise Damaged("its header is not where it belongs")
        if name == b"IDAT":
            if png.data and last != b"IDAT":
                raise Damaged("its pixel data are interrupted")
            png.data.append(body)
            if len(png.data) > _MOST_PIECES:
                raise Damaged("its pixel data are in too many pieces")
        elif sound:
            _read_chunk(name, body, png, len(content))
        last = name
    if not png.data:
        raise Damaged("there are no pixel data in it")
    return png


def _chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, bool]]:
    """Give name, content and whether the checksum is right, of every chunk before the last."""
    place, view = len(SIGNATURE), memoryview(content)
    while place + 12 <= len(content):
        length, name = struct.unpack_from(">I4s", content, place)
        end = place + 8 + length
        if not name.isalpha():
            raise Damaged("something else stands where a PNG chunk belongs")
        if end + 4 > len(content):
            break
        sound = zlib.crc32(view[place + 4 : end]) == int.from_bytes(content[end : end + 4], "big")
        if not sound and (name[:1].isupper() or name == b"tRNS"):
            raise Damaged(f"the checksum of its {name.decode('ascii')} chunk is wrong")
        if name == b"IEND":
            return
        yield name, view[place + 8 : end], sound
        place = end + 4
    raise Damaged("it breaks off before its end")


def _read_chunk(name: bytes, body: memoryview, png: _Png, encoded: int) -> None:
    if name == b"IHDR":
        if len(body) != 13:
            raise Damaged("its header is broken")
        width, height, png.depth, png.colour, packing, filters, order = struct.unpack(">IIBBBBB", body)
        if (png.colour, png.depth) not in _MODES or packing or filters or order > 1:
            raise Damaged("its header is broken")
        png.size, png.interlaced = (width, height), order == 1
        check_size(png.size, "", _HELD.get(_MODES[png.colour, png.depth][0], 4), encoded)
    elif name == b"PLTE":
        png.palette = bytes(body[: len(body) // 3 * 3])
    elif name == b"tRNS":
        png.transparent = bytes(body)
    elif name == b"eXIf":
        png.exif = bytes(body)
    elif name == b"iTXt" and bytes(body[:22]) == b"XML:com.adobe.xmp\0\0\0\0\0":
        png.xmp = bytes(body[:_LARGEST_TEXT])
    elif name in (b"tEXt", b"zTXt") and png.exif is None and bytes(body[:22]) in _EXIF_AS_TEXT:
        png.exif = _exif_from_text(name, bytes(body[22:]))


def _exif_from_text(name: bytes, text: bytes) -> bytes | None:
    """Read EXIF as ImageMagick keeps it in PNG: two lines of header, then hexadecimal digits."""
    try:
        if name == b"zTXt":
            text = zlib.decompressobj().decompress(text[1:], _LARGEST_TEXT)
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except (zlib.error, ValueError):
        return None


def _passes(png: _Png) -> Iterator[tuple[int, int]]:
    """Give rows and bytes of a row, with the one that names its filter, of every pass."""
    width, height = png.size
    bits = png.depth * _CHANNELS[png.colour]
    for left, top, across, down in _INTERLACED if png.interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            yield rows, 1 + (columns * bits + 7) // 8


def _check_rows(png: _Png) -> None:
    """Unpack the pixel data piece by piece, keep nothing, and see that they are whole.

    Pillow leaves out what is missing when another library has set its `LOAD_TRUNCATED_IMAGES`, and also when the
    data are packed well and are fewer than the header says.
    """
    pieces = unpacked(png.data, sum(rows * length for rows, length in _passes(png)))
    piece = b""
    for rows, length in _passes(png):
        missing = rows * length
        to_next_row = 0
        while missing:
            piece = piece or next(pieces, b"")
            if not piece:
                raise Damaged("its pixel data are incomplete")
            part, piece = piece[:missing], piece[missing:]
            if max(part[to_next_row::length], default=0) > 4:
                raise Damaged("its pixel data are broken")
            missing -= len(part)
            to_next_row = (to_next_row - len(part)) % length
    for _ in pieces:  # its checksum stands at the end
        pass


def _decode(image: Image.Image, raw: str, png: _Png) -> None:
    decoder = Image._getdecoder(image.mode, "zip", (raw,), (1,) if png.interlaced else ())
    decoder.setimage(image.im, (0, 0, *image.size))
    try:
        rest = b""
        for body in png.data:
            for start in range(0, len(body), _PIECE):
                part = body[start : start + _PIECE]
                given = rest + bytes(part) if rest else part
                used, error = decoder.decode(given)
                if used < 0:
                    if error:
                        raise Damaged("its pixel data are broken")
                    return
                rest = bytes(given[used:])
    finally:
        decoder.cleanup()
    raise Damaged("its pixel data are incomplete")


def _note_transparency(image: Image.Image, png: _Png) -> None:
    """Keep the transparent colour where Pillow looks for it when it converts."""
    values = png.transparent or b""
    if png.colour == 3:
        image.info["transparency"] = values
        return
    if png.colour not in (0, 2):
        return
    count = _CHANNELS[png.colour]
    if len(values) < 2 * count:
        raise Damaged("its transparent colour is broken")
    levels = struct.unpack_from(f">{count}H", values)
    if image.mode == "RGB" and png.depth == 16:
        raise Unsuitable(
            "has a transparent colour with 16 bits per channel. Save it with 8 bits, or with an alpha channel."
        )
    if png.depth < 8:  # Pillow spreads the levels to 0..255
        levels = tuple(level * 255 // (2**png.depth - 1) for level in levels)
    image.info["transparency"] = levels[0] if count == 1 else levels
