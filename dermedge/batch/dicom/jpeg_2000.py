"""JPEG 2000 pictures inside a DICOM file, by Pillow; what is cut off anywhere is refused by the lengths of its parts.

Not covered: wrong pixel data of the right length, for the format has no checksums.
"""

from __future__ import annotations

import io
import struct

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.inputs.picture_memory import Damaged, Unsuitable

from .header import Header

_SIZ, _SOT, _SOD, _EOC = 0xFF51, 0xFF90, 0xFF93, 0xFFD9
_HOLE = 512
"""So many equal bytes, 0 or 255, no coder of this format writes."""


def read_jpeg_2000(content: bytes, header: Header) -> NDArray[np.uint8]:
    """Decode one frame.

    :return: uint8 [H, W, 3] or [H, W]. Colours that the format itself has transformed (YBR_RCT, YBR_ICT) are RGB.
    :raises Damaged: it is not whole, or not what the header says.
    :raises Unsuitable: this Pillow cannot read JPEG 2000.
    """
    _check_parts(content, header)
    from PIL import Jpeg2KImagePlugin, features

    if not features.check("jpg_2000"):
        raise Unsuitable("holds JPEG 2000 data, which this build of Pillow cannot read. Save it as JPEG.")
    try:
        # Not by Image.open, which asks a process-wide limit of pixels.
        image = Jpeg2KImagePlugin.Jpeg2KImageFile(io.BytesIO(content))
        image.load()
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises nearly anything
        raise Damaged("its JPEG 2000 data are broken") from error
    if image.size != header.size or image.mode != ("L" if header.samples == 1 else "RGB"):
        raise Damaged("its JPEG 2000 data are of another size than its header says")
    return np.asarray(image)


def _check_parts(content: bytes, header: Header) -> None:
    """Walk from part to part up to the end mark."""
    _check_size_marker(content, header)
    place = 2
    while True:
        if place + 2 > len(content):
            raise Damaged("its JPEG 2000 data break off")
        (code,) = struct.unpack_from(">H", content, place)
        if code == _EOC:
            break
        if code >> 8 != 0xFF or place + 12 > len(content):
            raise Damaged("its JPEG 2000 data are broken")
        if code == _SOT:
            (length,) = struct.unpack_from(">I", content, place + 6)
            # The last part may leave its length open: then it goes on to the end mark.
            place = place + length if length >= 14 else _last_end(content, length)
        else:
            place += 2 + struct.unpack_from(">H", content, place + 2)[0]
    rest = content[place + 2 :]
    if len(rest) > 1 and rest.strip(b"\0"):  # one byte may fill up to an even length
        raise Damaged("something else follows its JPEG 2000 data")
    if any(fill * _HOLE in content for fill in (b"\0", b"\xff")):
        raise Damaged("there is a hole in its pixel data")


def _check_size_marker(content: bytes, header: Header) -> None:
    if len(content) < 42 or content[:4] != b"\xff\x4f\xff\x51":
        raise Damaged("its pixel data are no JPEG 2000 data, as its header says")
    right, lower, left, upper = struct.unpack_from(">4I", content, 8)
    (channels,) = struct.unpack_from(">H", content, 40)
    if (right - left, lower - upper) != header.size or channels != header.samples:
        raise Damaged("its JPEG 2000 data are of another size than its header says")
    if any(content[k] != 7 for k in range(42, min(len(content), 42 + 3 * channels), 3)):
        raise Unsuitable("has JPEG 2000 data of other than 8 bits per sample. Save it with 8 bits.")


def _last_end(content: bytes, length: int) -> int:
    end = len(content.rstrip(b"\0")) - 2
    if length != 0 or content[end : end + 2] != b"\xff\xd9":
        raise Damaged("its JPEG 2000 data break off")
    return end
