"""Pixels that are not compressed -> arrays, in the colours they are stored in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.inputs.picture_memory import Damaged, Unsuitable

from .header import Header


def read_native(content: bytes, header: Header) -> NDArray[np.uint8]:
    """Arrange the bytes of one frame.

    :return: uint8 [H, W, 3] or [H, W].
    :raises Unsuitable: halved colours that are not stored pixel by pixel.
    """
    width, height = header.size
    values = np.frombuffer(content, np.uint8)
    if header.samples == 1:
        return values.reshape(height, width)
    if header.photometric == "YBR_FULL_422":
        return _doubled(values, header)
    if header.is_planar:
        return np.ascontiguousarray(values.reshape(3, height, width).transpose(1, 2, 0))
    return values.reshape(height, width, 3)


def swap_bytes(content: bytes) -> bytes:
    """Exchange every two bytes.

    :raises Damaged: there is an odd one.
    """
    if len(content) % 2:
        raise Damaged("its pixel data are incomplete")
    return np.frombuffer(content, np.uint8).reshape(-1, 2)[:, ::-1].tobytes()


def _doubled(values: NDArray[np.uint8], header: Header) -> NDArray[np.uint8]:
    """Give both pixels of a pair the colour that they share; stored are two brightnesses, blue and red difference."""
    width, height = header.size
    if header.is_planar or width % 2:
        raise Unsuitable("has colours of half the width that are stored in an unknown order. Save it as RGB.")
    pairs = values.reshape(height, width // 2, 4)
    picture = np.empty((height, width, 3), np.uint8)
    picture[:, 0::2, 0], picture[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    for channel in (1, 2):
        picture[..., channel] = np.repeat(pairs[..., channel + 1], 2, axis=1)
    return picture
