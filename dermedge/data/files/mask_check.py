"""Tell a lesion mask or a map of labels from a photograph.

Judged by what is in the file: few values and no colour. Not covered: thumbnails and heat maps, which are in colour.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from .same_content import file_size

_DEEP = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
"""Modes without colour whose values are wider than a byte."""
_FLAT = frozenset({"1", "L", "LA", "P", "PA"}) | _DEEP
"""Modes without colour, or with a palette."""
_FEW = 8
"""No photograph has as few colours; a mask has two, a map of labels a few more."""
_BYTES_PER_PIXEL = 0.1
"""A mask takes less when it is compressed, a photograph more."""
_TABLES = 1500
"""Bytes that even an empty JPEG takes."""
_LARGEST = 64_000_000
"""Pixels; larger pictures are not judged."""
_EDGE = 256


def is_mask(path: Path) -> bool:
    """Whether a picture is plainly no photograph: two tones, or a handful of greys or palette entries.

    A file that cannot be read is not called a mask; whoever decodes it says what is wrong with it.
    """
    size = file_size(path)
    if not size:
        return False
    try:
        with Image.open(path) as image:
            if image.mode == "1":
                return True
            if image.width * image.height > _LARGEST or not _may_be_mask(image, size):
                return False
            lossy = image.format in ("JPEG", "MPO")
            flat = image.mode in _FLAT
            image.draft("RGB", (_EDGE, _EDGE))
            return _has_few_tones(image, flat=flat, lossy=lossy)
    except (OSError, ValueError, SyntaxError, EOFError, OverflowError, MemoryError, Image.DecompressionBombError):
        return False


def _may_be_mask(image: Image.Image, size: int) -> bool:
    plain = image.format in ("BMP", "TIFF")  # often not compressed at all
    return plain or image.mode in _FLAT or size < _TABLES + _BYTES_PER_PIXEL * image.width * image.height


def _has_few_tones(image: Image.Image, *, flat: bool, lossy: bool) -> bool:
    palette = image.mode in ("P", "PA")
    step = max(1, -(-max(image.size) // _EDGE))  # whole steps without a filter keep the values as they are
    if image.mode in _DEEP:
        return len(np.unique(np.asarray(image)[::step, ::step])) <= _FEW
    pixels = np.asarray(image.convert("RGB"))[::step, ::step].reshape(-1, 3).astype(np.int16)
    grey = int(np.ptp(pixels, axis=1).max()) <= (8 if lossy else 0)
    if lossy:  # its ringing makes many values of two
        low, high = (pixels < 16).all(axis=1), (pixels > 239).all(axis=1)
        both = flat or bool(low.any() and high.any())
        return grey and both and float((low | high).mean()) > 0.95
    tones = len(np.unique(pixels, axis=0))
    # A colour picture of one value may be a lens cap, and of several colours a drawing: neither is a mask.
    return tones <= _FEW and (palette or (grey and (flat or tones > 1)))
