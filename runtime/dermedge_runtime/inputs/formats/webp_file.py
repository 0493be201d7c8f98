"""Decode a WebP file; only its frame of chunks can show that something is missing.

Covered: lossy, lossless, alpha, and the first frame of an animation. Not covered: wrong pixel data of the right length,
for the format has no checksums.
"""

from __future__ import annotations

import struct
from typing import Any

from PIL import Image

from dermedge_runtime.inputs.orientation import read_orientation
from dermedge_runtime.inputs.picture_memory import Damaged, Unsuitable, check_size

from .stored_picture import StoredPicture

_HELD = 13
"""Bytes per pixel: two canvases, what is decoded on them, and a little more."""
_HOLE = 512
_FLAT = {b"VP8 ": 0.5 / 256, b"VP8L": 1 / 8}
"""Bytes that a pixel without any detail takes at most, lossy and lossless: so many can be all 0, or all 255."""


def read_webp(content: bytes) -> StoredPicture:
    """Decode a WebP file.

    :raises Damaged: it is not whole.
    :raises Unsuitable: it is too large, or this Pillow cannot read WebP.
    """
    exif, xmp = _check_chunks(content)
    try:
        from PIL import _webp
    except ImportError as error:
        raise Unsuitable("is a WebP file, which this build of Pillow cannot read. Save it as PNG or JPEG.") from error
    # Pillow's own reader asks its process-wide limit of pixels, and holds the picture once more.
    decoder: Any = _webp.WebPAnimDecoder(content)
    if decoder is None:
        raise Damaged("its pixel data are broken")
    size, _, _, _, raw = decoder.get_info()
    decoded = decoder.get_next()
    if decoded is None:
        raise Damaged("its pixel data are broken")
    del decoder
    mode = "RGB" if raw == "RGBX" else raw
    image = Image.frombytes(mode, size, decoded[0], "raw", raw)
    return StoredPicture.whole(image, read_orientation(exif, xmp))


def _check_chunks(content: bytes) -> tuple[bytes | None, bytes | None]:
    """Walk through the chunks, and give EXIF and XMP."""
    end = 8 + int.from_bytes(content[4:8], "little")
    if end > len(content) or end < 20:
        raise Damaged("it breaks off before its end")
    found: dict[bytes, bytes] = {}
    frames = 0
    place = 12
    while place + 8 <= end:
        name, length = struct.unpack_from("<4sI", content, place)
        if place + 8 + length > end:
            raise Damaged("it breaks off before its end")
        _check_chunk(content, name, place + 8, length)
        frames += name in (b"VP8 ", b"VP8L", b"ANMF")
        if name in (b"EXIF", b"XMP "):
            found.setdefault(name, content[place + 8 : place + 8 + length])
        place += 8 + length + length % 2
    if not frames:
        raise Damaged("there are no pixel data in it")
    return found.get(b"EXIF"), found.get(b"XMP ")


def _check_chunk(content: bytes, name: bytes, start: int, length: int) -> None:
    size = None
    if name == b"VP8X" and length >= 10:
        size = tuple(1 + int.from_bytes(content[start + k : start + k + 3], "little") for k in (4, 7))
    elif name == b"VP8 " and length >= 10 and content[start + 3 : start + 6] == b"\x9d\x01\x2a":
        size = tuple(side & 0x3FFF for side in struct.unpack_from("<HH", content, start + 6))
    elif name == b"VP8L" and length >= 5 and content[start] == 0x2F:
        (bits,) = struct.unpack_from("<I", content, start + 1)
        size = (1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    elif name in (b"VP8X", b"VP8 ", b"VP8L"):
        raise Damaged("its header is broken")
    if size is not None:
        check_size((size[0], size[1]), "a WebP file", _HELD, 2 * len(content))
    if size is not None and name != b"VP8X":
        hole = _HOLE + int(_FLAT[name] * size[0] * size[1])
        if any(content.find(fill * hole, start, start + length) >= 0 for fill in (b"\0", b"\xff")):
            raise Damaged("there is a hole in its pixel data")
