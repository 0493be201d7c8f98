"""Pixels in DICOM's RLE (PackBits, one stretch for every channel) -> arrays; too few and too many are refused.

By its own reader: pydicom's cuts off what is too much.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.inputs.picture_memory import Damaged

from .header import Header

_HEAD = 64
_BROKEN = "its RLE data are incomplete or wrong"


def read_run_length(content: bytes, header: Header) -> NDArray[np.uint8]:
    """Decode one frame.

    :return: uint8 [H, W, 3] or [H, W].
    :raises Damaged: the data are not those of so many pixels.
    """
    width, height = header.size
    if len(content) < _HEAD:
        raise Damaged(_BROKEN)
    count, *starts = struct.unpack_from("<16I", content)
    if count != header.samples or starts[0] != _HEAD or any(starts[count:]):
        raise Damaged(_BROKEN)
    ends = [*starts[1:count], len(content)]
    planes = np.empty((count, height * width), np.uint8)
    for plane, start, end in zip(planes, starts, ends, strict=False):
        if not start <= end <= len(content):
            raise Damaged(_BROKEN)
        plane[:] = np.frombuffer(_unpacked(content[start:end], height * width), np.uint8)
    if count == 1:
        return planes.reshape(height, width)
    return np.ascontiguousarray(planes.reshape(count, height, width).transpose(1, 2, 0))


def _unpacked(content: bytes, wanted: int) -> bytearray:
    found, place = bytearray(), 0
    try:
        while len(found) < wanted:
            control = content[place]
            if control < 128:
                piece = content[place + 1 : place + 2 + control]
                if len(piece) <= control:
                    raise Damaged(_BROKEN)
                found += piece
                place += 2 + control
            elif control > 128:
                found += content[place + 1 : place + 2] * (257 - control)
                place += 2
            else:
                place += 1
    except IndexError:
        raise Damaged(_BROKEN) from None
    # What fills up to an even length may follow.
    if len(found) != wanted or content[place:].strip(b"\0\x80"):
        raise Damaged(_BROKEN)
    return found
