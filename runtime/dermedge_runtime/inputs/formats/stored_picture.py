"""A picture as it is stored in its file: decoded, and not yet turned upright."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from PIL import Image

Enough: TypeAlias = Callable[[tuple[int, int]], tuple[int, int]]
"""Tells, for the stored width and height, which width and height are enough of it."""


def cut_out(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """As `Image.crop`, which asks Pillow's process-wide limit of pixels; `box` lies within the picture."""
    image.load()
    return image._new(image.im.crop(box))


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """What every reader of a file format gives."""

    image: Image.Image
    """In the file's own colours, or smaller than stored where that was asked."""
    size: tuple[int, int]
    """Stored width and height in pixels."""
    box: tuple[float, float, float, float]
    """What the frame covers of `image`, whose last row and column can be partly filled."""
    orientation: int = 1
    """As in EXIF, 1 to 8."""

    @classmethod
    def whole(cls, image: Image.Image, orientation: int = 1) -> StoredPicture:
        """Make one of a picture in its stored size."""
        width, height = image.size
        return cls(image, image.size, (0.0, 0.0, float(width), float(height)), orientation)
