"""Change colours and size of a decoded picture in bands of rows, so that no second copy of all its pixels is made.

What is transparent is laid on white. Where the picture shrinks it does so before, with colours that are weighted by
their opacity, so that the hidden colour of a transparent pixel shows nowhere; the result is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .formats.stored_picture import cut_out
from .picture_memory import Unsuitable

Box = tuple[float, float, float, float]

_BAND_PIXELS = 2_000_000
_WHOLE_PIXELS = 8_000_000
"""Up to this size a picture is one band."""
_STRIP_BYTES = 32_000_000
"""What Pillow may hold between shrinking along the rows and along the columns."""
_SUPPORT = {
    Image.Resampling.NEAREST: 0.5,
    Image.Resampling.BILINEAR: 1.0,
    Image.Resampling.BICUBIC: 2.0,
    Image.Resampling.LANCZOS: 3.0,
}
_PLAIN = ("RGB", "L")
Rows = Callable[[int, int], Image.Image]
"""Rows `top` to `bottom` of a picture."""


def rows_of(image: Image.Image) -> Rows:
    """Rows of a decoded picture, RGB, or RGBA where it can be transparent.

    :raises Unsuitable: 32 bits per pixel.
    """
    if image.mode in ("I", "F"):
        raise Unsuitable("has 32 bits per pixel, whose range is unknown. Save it with 8 or 16 bits.")
    transparent, key = image.has_transparency_data, image.info.get("transparency")

    def rows(top: int, bottom: int) -> Image.Image:
        band = cut_out(image, (0, top, image.width, bottom))
        if band.mode.startswith("I;16"):
            return _eight_bits(band, key)
        if transparent:
            band = band.convert("LA") if band.mode == "La" else band
            return band if band.mode == "RGBA" else band.convert("RGBA")
        return band if band.mode == "RGB" else band.convert("RGB")

    return rows


def rows_of_array(array: NDArray[np.uint8]) -> Rows:
    """Rows of an array, uint8 [H, W, 3] or [H, W], as RGB."""
    return lambda top, bottom: Image.fromarray(np.ascontiguousarray(array[top:bottom])).convert("RGB")


def _eight_bits(band: Image.Image, key: Any) -> Image.Image:
    values = np.asarray(band).astype(np.uint16)
    levels = (values >> 8).astype(np.uint8)
    if isinstance(key, int):
        levels[values == key] = 255
    return Image.fromarray(levels).convert("RGB")


def on_white(band: Image.Image) -> Image.Image:
    """Lay RGBA on white; RGB stays as it is."""
    if band.mode == "RGB":
        return band
    return Image.alpha_composite(Image.new("RGBA", band.size, "white"), band).convert("RGB")


def to_rgb(image: Image.Image) -> Image.Image:
    """Give a decoded picture as RGB in its own size."""
    return image if image.mode == "RGB" and not image.has_transparency_data else join(rows_of(image), image.size)


def join(rows: Rows, size: tuple[int, int]) -> Image.Image:
    """Put rows together to one RGB picture."""
    width, height = size
    step = height if width * height <= _WHOLE_PIXELS else max(1, _BAND_PIXELS // width)
    if step == height:
        return on_white(rows(0, height))
    whole = Image.new("RGB", size)
    for top in range(0, height, step):
        whole.paste(on_white(rows(top, min(top + step, height))), (0, top))
    return whole


def resize(image: Image.Image, target: tuple[int, int], resample: Image.Resampling, box: Box) -> Image.Image:
    """Resize a decoded picture of any colours to RGB of another size.

    :param target: width and height of the result.
    :param box: the part of the picture that becomes the result.
    """
    if image.mode in _PLAIN and not image.has_transparency_data:
        # One channel after another, so grey first shrinks and then becomes three equal ones.
        return _resize(image, target, resample, box).convert("RGB")
    return resize_rows(rows_of(image), image.size, target, resample, box)


def resize_rows(
    rows: Rows, size: tuple[int, int], target: tuple[int, int], resample: Image.Resampling, box: Box | None = None
) -> Image.Image:
    """As `resize`, of rows, as many as one band of the result needs at once."""
    width, height = size
    left, upper, right, lower = box or (0.0, 0.0, float(width), float(height))
    scale = (lower - upper) / target[1]
    margin = math.ceil(_SUPPORT[resample] * max(1.0, scale)) + 1
    step = target[1]
    if width * height > _WHOLE_PIXELS:
        step = max(1, min(step, int((_BAND_PIXELS / width - 2 * margin) / scale)))
    result: Image.Image | None = None
    for top in range(0, target[1], step):
        bottom = min(top + step, target[1])
        start, end = upper + top * scale, upper + bottom * scale
        first, last = max(0, math.floor(start) - margin), min(height, math.ceil(end) + margin)
        band = rows(first, last)
        band = band.convert("RGBa") if band.mode == "RGBA" else band
        part_box = (left, max(0.0, start - first), right, min(float(last - first), end - first))
        part = _on_white_from_weighted(_resize(band, (target[0], bottom - top), resample, part_box))
        if step == target[1]:
            return part
        result = result or Image.new("RGB", target)
        result.paste(part, (0, top))
    assert result is not None  # there is at least one row
    return result


def _resize(image: Image.Image, target: tuple[int, int], resample: Image.Resampling, box: Box) -> Image.Image:
    width, height = target
    if image.size == target and box == (0, 0, *target):
        return image
    left, upper, right, lower = box
    # Pillow first shrinks along the rows, and keeps that for as many rows as the picture has.
    columns = max(1, _STRIP_BYTES // (4 * image.height))
    if columns >= width or resample == Image.Resampling.NEAREST:
        return image.resize(target, resample, box)
    result = Image.new(image.mode, target)
    scale = (right - left) / width
    for start in range(0, width, columns):
        end = min(start + columns, width)
        part_box = (left + start * scale, upper, min(right, left + end * scale), lower)
        result.paste(image.resize((end - start, height), resample, part_box), (start, 0))
    return result


def _on_white_from_weighted(image: Image.Image) -> Image.Image:
    """Lay colours that are weighted by their opacity on white."""
    if image.mode != "RGBa":
        return image
    values = np.asarray(image).astype(np.uint16)
    return Image.fromarray(np.minimum(values[..., :3] + (255 - values[..., 3:]), 255).astype(np.uint8))
