"""Why a model decided as it did: the heat map over the picture and the relevance of the clinical values.

The numbers are outputs of the model's graph (Grad-CAM and integrated gradients, paper, section 4.5); here they get
names, the picture's own size, and colours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .inputs.clinical import UNKNOWN, ClinicalValue
from .inputs.formats.stored_picture import cut_out

# Matplotlib's inferno (CC0) at 17 points: perceptually uniform, dark to bright, readable in grey.
_INFERNO = np.array(
    [
        (0, 0, 4), (11, 7, 36), (33, 12, 74), (61, 9, 101), (87, 16, 110), (113, 25, 110), (138, 34, 106),
        (163, 44, 97), (188, 55, 84), (210, 70, 68), (228, 90, 49), (241, 115, 29), (249, 142, 9), (252, 172, 17),
        (249, 203, 53), (242, 234, 105), (252, 255, 164),
    ],
    dtype=np.float64,
)  # fmt: skip
COUNTED_UNNAMED = "counted as a value of its training data"
"""What is said of an unknown value where the model file imputes and does not name what."""
_OPACITIES = [round(255 * 0.6 * (level / 255) ** 0.5) for level in range(256)]
"""Of 256 levels of heat."""
_BAND_PIXELS = 500_000


@dataclass(frozen=True, slots=True)
class Explanation:
    """What spoke for one class."""

    target: str
    """Code of the class that is explained."""
    grid: NDArray[np.float32] | None
    """Grad-CAM at the network's own resolution, float32 [h, w] in [0, 1]; None for a model that reads no image."""
    relevance: Mapping[str, float] | None
    """By encoded feature, absolute integrated gradients scaled to [0, 1]; None where no clinical field is read."""
    attribution: Mapping[str, float] | None
    """By encoded feature, signed integrated gradients in units of the class score."""
    imputed: Mapping[str, ClinicalValue] = field(default_factory=dict)
    """Unknown fields, and the value that the model counted each as; None: the model file does not name it. Their
    features are named as `name_imputed` has it."""

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return {
            "target": self.target,
            "heatmap": None if self.grid is None else self.grid.tolist(),
            "relevance": None if self.relevance is None else dict(self.relevance),
            "relevance_by_field": self.relevance_by_field,
            "attribution": None if self.attribution is None else dict(self.attribution),
            "imputed": dict(self.imputed),
        }

    @property
    def relevance_by_field(self) -> dict[str, float] | None:
        """`relevance` summed over the features of each field."""
        if self.relevance is None:
            return None
        fields: dict[str, float] = {}
        for feature, value in self.relevance.items():
            name = feature.partition("=")[0]
            fields[name] = fields.get(name, 0.0) + value
        return fields


def counted_as(value: ClinicalValue) -> str:
    """Say what an unknown value was imputed with, such as "unknown (counted as male)"."""
    if value is None:
        return f"{UNKNOWN} ({COUNTED_UNNAMED})"
    return f"{UNKNOWN} (counted as {value:.7g})" if isinstance(value, float) else f"{UNKNOWN} (counted as {value})"


def name_imputed(features: Mapping[str, float], imputed: Mapping[str, ClinicalValue]) -> dict[str, float]:
    """Name the features of unknown fields so that none of them reads as if it had been given.

    :param features: values by encoded feature.
    :return: the same, with one entry such as `sex=unknown (counted as male)` for all features of an imputed field. Of
        the words of a vocabulary all but the imputed one stand at 0, so nothing is lost in the sum.
    """
    named: dict[str, float] = {}
    for feature, value in features.items():
        field_name = feature.partition("=")[0]
        if field_name in imputed:
            feature = f"{field_name}={counted_as(imputed[field_name])}"
        named[feature] = named.get(feature, 0.0) + value
    return named


def enlarge(grid: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Enlarge a heat map to a picture's size by bilinear interpolation; float32 [h, w] to [height, width]."""
    whole = np.empty((height, width), np.float32)
    step = max(1, _BAND_PIXELS // width)  # in bands, so that it is not held twice
    for top in range(0, height, step):
        bottom = min(top + step, height)
        whole[top:bottom] = _enlarged_rows(grid, width, height, top, bottom)
    return whole


def _enlarged_rows(grid: NDArray[np.float32], width: int, height: int, top: int, bottom: int) -> NDArray[np.float32]:
    rows, columns = grid.shape
    box = (0, top * rows / height, columns, bottom * rows / height)
    image = Image.fromarray(grid.astype(np.float32)).resize((width, bottom - top), Image.Resampling.BILINEAR, box)
    return np.asarray(image, dtype=np.float32).clip(0, 1)


def colours(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colour values in [0, 1]; float32 [...] to uint8 [..., 3]."""
    with np.errstate(under="ignore"):
        return _colour_table()[(values * 255).round().astype(np.uint8)]


@cache
def _colour_table() -> NDArray[np.uint8]:
    """Give the colours of 256 levels, uint8 [256, 3]."""
    steps, points = np.linspace(0, 1, 256), np.linspace(0, 1, len(_INFERNO))
    table = np.stack([np.interp(steps, points, _INFERNO[:, channel]) for channel in range(3)], axis=-1)
    return table.round().astype(np.uint8)


def overlay(picture: Image.Image, grid: NDArray[np.float32]) -> Image.Image:
    """Lay a heat map over a picture, with a bar that tells the colours.

    :param picture: upright RGB, any size.
    :param grid: float32 [h, w] in [0, 1].
    :return: RGB, as high as the picture and wider by the bar.
    """
    width, height = picture.size
    bar = _bar(height)
    result = Image.new("RGB", (width + bar.width, height), "white")
    step = max(1, _BAND_PIXELS // width)  # in bands: floats take four times the memory of the picture
    for top in range(0, height, step):
        bottom = min(top + step, height)
        band = cut_out(picture, (0, top, width, bottom))
        result.paste(_mixed(band, _enlarged_rows(grid, width, height, top, bottom)), (0, top))
    result.paste(bar, (width, 0))
    return result


def _mixed(picture: Image.Image, heat: NDArray[np.float32]) -> Image.Image:
    """Mix a band of a picture with its heat, float32 [h, w]: in whole numbers, by Pillow, far faster than in floats."""
    levels = Image.fromarray((heat * 255).round().astype(np.uint8))
    coloured = Image.fromarray(_colour_table()[np.asarray(levels)])
    # Where nothing speaks for the class the picture stays as it is.
    picture.paste(coloured, mask=levels.point(_OPACITIES))
    return picture


def _bar(height: int) -> Image.Image:
    from PIL import ImageDraw  # here, because a prediction without an overlay needs none of PIL's fonts

    thick = max(4, height // 25)
    text_size = max(9, height // 28)
    margin = text_size
    strip = Image.new("RGB", (thick + 3 * text_size, height), "white")
    length = max(1, height - 2 * margin)
    ramp = colours(np.linspace(1, 0, length, dtype=np.float32))[:, None, :].repeat(thick, axis=1)
    strip.paste(Image.fromarray(ramp), (thick // 2, margin))
    draw = ImageDraw.Draw(strip)
    for value in (0.0, 0.5, 1.0):
        y = margin + (1 - value) * length
        draw.text((2 * thick, y), f"{value:g}", fill="black", anchor="lm", font_size=text_size)
    return strip
