"""JPEG pictures inside a DICOM file: the runtime's own reader takes them, and sees whether they are whole.

Their colours are those that the JPEG data tell, as in any .jpg file; only where these are silent, DICOM's word counts.
Lossless JPEG (process 14) tells nothing of its colours, so there it is always DICOM's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.inputs.formats.jpeg_file import read_jpeg
from dermedge_runtime.inputs.formats.jpeg_whole import read_layout
from dermedge_runtime.inputs.orientation import TURNS
from dermedge_runtime.inputs.picture_memory import Damaged, Unsuitable

from .header import LOSSLESS_JPEG, Header

_APP0, _APP14, _LOSSLESS = 0xE0, 0xEE, 0xC3
_PLAIN_RGB = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x00"
"""Adobe's marker, which says that no colours were transformed."""


def read_jpeg_frame(content: bytes, header: Header) -> bytes | NDArray[np.uint8]:
    """Give a JPEG picture as the encoded bytes, where these say all, or else decoded.

    :return: encoded bytes; or uint8 [H, W, 3] or [H, W], in the colours they are stored in.
    :raises Damaged: it is not whole, or not what the header says.
    :raises Unsuitable: it is of a kind that is not read.
    """
    layout = read_layout(content)
    if layout.size != header.size or len(layout.components) != header.samples:
        raise Damaged("its JPEG data are of another size than its header says")
    if (layout.frame == _LOSSLESS) != (header.stored == LOSSLESS_JPEG):
        raise Damaged("its JPEG data are of another kind than its header says")
    if header.photometric == "PALETTE COLOR" and header.stored != LOSSLESS_JPEG:
        raise Unsuitable("has a palette and lossy JPEG data, whose colours are lost. Save it as RGB.")
    markers = _application_markers(content)
    if header.stored == LOSSLESS_JPEG and header.samples == 3:
        return np.asarray(read_jpeg(_without(content, markers), None).image)
    if header.stored == LOSSLESS_JPEG or header.photometric == "PALETTE COLOR":
        return np.asarray(read_jpeg(content, None).image)
    if header.photometric == "MONOCHROME1":
        stored = read_jpeg(content, None)
        turn = TURNS.get(stored.orientation)
        return np.asarray(stored.image if turn is None else stored.image.transpose(turn))
    if header.photometric == "RGB" and not {_APP0, _APP14} & markers.keys():
        return content[:2] + _PLAIN_RGB + content[2:]
    return content


def _application_markers(content: bytes) -> dict[int, tuple[int, int]]:
    """Find the markers that tell of colours, JFIF's and Adobe's, before the picture: where each begins and ends."""
    found = {}
    place = 2
    while content[place : place + 1] == b"\xff" and (code := content[place + 1]) not in (0xDA, 0xD9):
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        body = content[place + 4 : end]
        if (code == _APP0 and body.startswith(b"JFIF\0")) or (code == _APP14 and body.startswith(b"Adobe")):
            found[code] = place, end
        place = end
    return found


def _without(content: bytes, markers: dict[int, tuple[int, int]]) -> bytes:
    """Leave out what the file tells of its colours, so that nobody converts them."""
    kept, place = [content[:2], _PLAIN_RGB], 2
    for start, end in sorted(markers.values()):
        kept.append(content[place:start])
        place = end
    return b"".join([*kept, content[place:]])
