"""How a stored picture has to be turned to stand upright: the orientation tag of EXIF, or else of XMP.

Read here and not by Pillow, which raises nearly anything, or warns, where such a block is broken. A block that cannot
be read says nothing, and its picture stays as it is stored.
"""

from __future__ import annotations

import re
import struct

from PIL import Image

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF orientation; what is not here stands upright or says nothing."""
SWAPS = frozenset(TURNS[orientation] for orientation in (5, 6, 7, 8))

_TAG = 0x0112
_WHOLE_NUMBERS = {1: "B", 3: "H", 4: "I"}  # by EXIF type
_XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')


def read_orientation(exif: bytes | None, xmp: bytes | None = None) -> int:
    """Tell the orientation, 1 to 8; 1 where neither block tells.

    :param exif: a TIFF header and its directory, with or without "Exif" before it.
    :param xmp: an XMP packet, asked where EXIF is silent.
    """
    found = _from_exif(exif) if exif else None
    if found is None and xmp and (match := _XMP.search(xmp)):
        found = int(match[1])
    return found if found in TURNS else 1


def orientation_of(image: Image.Image) -> int:
    """As `read_orientation`, of a Pillow image of the caller."""
    if not is_exif_known(image):
        exif, xmp = image.info.get("exif"), image.info.get("xmp", image.info.get("XML:com.adobe.xmp"))
        xmp = xmp.encode(errors="replace") if isinstance(xmp, str) else xmp
        return read_orientation(exif if isinstance(exif, bytes) else None, xmp if isinstance(xmp, bytes) else None)
    try:
        found = image.getexif().get(_TAG)
    except Exception:  # a broken block makes Pillow raise nearly anything
        return 1
    return found if isinstance(found, int) and found in TURNS else 1


def is_exif_known(image: Image.Image) -> bool:
    """Tell whether somebody has asked Pillow for the EXIF of an image, and may have changed it."""
    return getattr(image, "_exif", None) is not None


def _from_exif(block: bytes) -> int | None:
    while block.startswith(b"Exif\0\0"):
        block = block[6:]
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (count,) = struct.unpack_from(f"{order}H", block, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, values = struct.unpack_from(f"{order}HHI", block, entry)
            if tag == _TAG:
                if kind not in _WHOLE_NUMBERS or values != 1:
                    return None
                return int(struct.unpack_from(f"{order}{_WHOLE_NUMBERS[kind]}", block, entry + 8)[0])
    except struct.error:
        return None
    return None
