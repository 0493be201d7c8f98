"""Decode an AVIF file, by Pillow's libavif; its boxes show whether something is missing.

Covered: alpha, grey, 10 and 12 bits (their upper 8), grids, and the first frame of an animation. How it has to be
turned tell its own boxes; an orientation in EXIF says nothing in this format. Not covered: wrong pixel data of the
right length, for the format has no checksums.
"""

from __future__ import annotations

from typing import Any

from PIL import Image

from dermedge_runtime.inputs.orientation import TURNS
from dermedge_runtime.inputs.picture_memory import Damaged, Unsuitable, check_size

from .iso_boxes import check_boxes, check_holes
from .stored_picture import StoredPicture

_HELD = 16
"""Bytes per pixel: the planes of its decoder, 16 bits each, what is made of them, and the picture."""


def read_avif(content: bytes) -> StoredPicture:
    """Decode an AVIF file.

    :raises Damaged: it is not whole.
    :raises Unsuitable: it is too large, or this Pillow cannot read AVIF.
    """
    boxes = check_boxes(content)
    try:
        from PIL import _avif
    except ImportError as error:
        raise Unsuitable("is an AVIF file, which this build of Pillow cannot read. Save it as PNG or JPEG.") from error
    # Pillow's own reader asks its process-wide limit of pixels, and holds the picture once more.
    try:
        decoder: Any = _avif.AvifDecoder(content, "auto", 1)
        size, _, mode, _, exif, orientation, xmp = decoder.get_info()
        check_holes(content, boxes, (exif, xmp))
        check_size(size, "an AVIF file", _HELD, 2 * len(content))
        decoded = decoder.get_frame(0)[0]
    except (SyntaxError, ValueError, RuntimeError, OSError) as error:
        raise Damaged("its pixel data are incomplete or broken") from error
    del decoder
    image = Image.frombytes(mode, size, decoded, "raw", mode)
    return StoredPicture.whole(image, orientation if orientation in TURNS else 1)
