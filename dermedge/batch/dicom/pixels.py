"""The bytes of one frame -> what the runtime takes for a picture, by how they are stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.inputs.picture_memory import Unsuitable, check_size

from .colours import in_colour
from .header import JPEG, JPEG_2000, JPEG_LS, LOSSLESS_JPEG, NATIVE, RUN_LENGTH, Header
from .jpeg import read_jpeg_frame
from .jpeg_2000 import read_jpeg_2000
from .jpeg_ls import read_jpeg_ls
from .native import read_native
from .run_length import read_run_length

_HELD = {NATIVE: 7.0, RUN_LENGTH: 7.0, LOSSLESS_JPEG: 11.0, JPEG: 4.0, JPEG_2000: 20.0, JPEG_LS: 15.0}
"""Bytes per pixel that are held at once, beside the encoded frame; measured at 12 megapixels."""


def check_frame_size(header: Header, encoded: int) -> None:
    """See that a frame is not too large before it is read.

    :param encoded: its bytes in the file.
    :raises Unsuitable: it is.
    """
    if header.photometric in ("YBR_RCT", "YBR_ICT") and header.stored != JPEG_2000:
        raise Unsuitable(f"has the colours {header.photometric}, which only JPEG 2000 has. Save it as RGB.")
    check_size(header.size, "a DICOM file", _HELD[header.stored], encoded)


def decode(content: bytes, header: Header) -> bytes | NDArray[np.uint8]:
    """Decode one frame.

    :param content: its bytes in the file.
    :return: uint8 [H, W, 3], RGB, or [H, W], grey; or the encoded bytes of a JPEG picture.
    :raises Damaged: it is not whole.
    :raises Unsuitable: it is of a kind that is not read.
    """
    if header.stored == NATIVE:
        return in_colour(read_native(content, header), header)
    if header.stored == RUN_LENGTH:
        return in_colour(read_run_length(content, header), header)
    if header.stored == JPEG_2000:
        return in_colour(read_jpeg_2000(content, header), header)
    if header.stored == JPEG_LS:
        return in_colour(read_jpeg_ls(content, header), header)
    found = read_jpeg_frame(content, header)
    if isinstance(found, bytes):
        return found
    return in_colour(found, header, is_rgb=header.stored == JPEG)
