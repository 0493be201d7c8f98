"""Pixels as they are stored -> RGB or grey, as the photometric interpretation tells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .header import Header

_BAND_PIXELS = 1 << 18
_CENTRED = np.arange(256, dtype=np.int32) - 128
# As libjpeg does it, in whole numbers of 1/65536.
_RED = (91881 * _CENTRED + 32768) >> 16
_BLUE = (116130 * _CENTRED + 32768) >> 16
_GREEN_OF_BLUE, _GREEN_OF_RED = -22554 * _CENTRED + 32768, -46802 * _CENTRED


def in_colour(stored: NDArray[np.uint8], header: Header, *, is_rgb: bool = False) -> NDArray[np.uint8]:
    """Give RGB, or grey where low is dark.

    :param stored: uint8 [H, W, 3] or [H, W].
    :param is_rgb: its decoder has made three channels RGB already.
    :return: uint8 [H, W, 3] or [H, W].
    """
    if header.photometric == "MONOCHROME1":
        return 255 - stored
    if header.palette is not None:
        return header.palette[stored]
    if stored.ndim == 3 and not is_rgb and header.photometric.startswith("YBR_FULL"):
        return _rgb(stored)
    return stored


def _rgb(stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert brightness and the differences of blue and red, in bands of rows."""
    picture = np.empty_like(stored)
    rows = max(1, _BAND_PIXELS // stored.shape[1])
    for top in range(0, len(stored), rows):
        band = stored[top : top + rows]
        light, blue, red = band[..., 0].astype(np.int32), band[..., 1], band[..., 2]
        green = (_GREEN_OF_BLUE[blue] + _GREEN_OF_RED[red]) >> 16
        for channel, difference in enumerate((_RED[red], green, _BLUE[blue])):
            picture[top : top + rows, :, channel] = np.clip(light + difference, 0, 255)
    return picture
