"""Generated dermatoscopic pictures: one lesion on skin, in the colours, border and texture of its class.

They resemble skin as a sketch does. Not covered: the patients that go with them (`synthetic`). Light on purpose: the
benchmark draws one where nothing but the runtime is installed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

WIDTH, HEIGHT = 300, 225
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Look:
    """How the lesions of one class look and whom they befall."""

    colour: tuple[int, int, int]
    second_colour: tuple[int, int, int]
    radius: float
    """Share of the picture's height."""
    irregularity: float
    """Amplitude of the border's waves, as a share of the radius."""
    softness: float
    """Width of the border's transition, in pixels."""
    patches: float
    """Share of the lesion in the second colour."""
    sites: tuple[str, ...]
    age: float
    """Mean age in years; the standard deviation is 12."""


LOOKS: dict[str, Look] = {
    "akiec": Look((196, 120, 104), (226, 186, 160), 0.30, 0.25, 14, 0.5, ("face", "scalp", "hand"), 68),
    "bcc": Look((214, 140, 130), (120, 130, 160), 0.26, 0.12, 5, 0.3, ("face", "neck", "trunk"), 66),
    "bkl": Look((150, 108, 70), (196, 160, 110), 0.32, 0.10, 2, 0.6, ("back", "face", "trunk"), 64),
    "df": Look((176, 120, 96), (232, 205, 190), 0.20, 0.05, 12, 0.25, ("lower extremity", "upper extremity"), 50),
    "mel": Look((66, 44, 40), (110, 116, 140), 0.36, 0.35, 4, 0.4, ("back", "upper extremity", "chest"), 60),
    "nv": Look((124, 82, 56), (96, 62, 44), 0.24, 0.04, 5, 0.2, ("trunk", "back", "lower extremity", "abdomen"), 40),
    "vasc": Look((168, 34, 52), (110, 16, 60), 0.22, 0.08, 4, 0.5, ("trunk", "abdomen", "foot"), 50),
}


def picture(code: str, rng: np.random.Generator, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Draw one photograph of a lesion of class `code`, RGB."""
    look = LOOKS[code]
    y, x = np.mgrid[0:height, 0:width]
    scale = height / HEIGHT
    centre_x, centre_y = width * rng.uniform(0.42, 0.58), height * rng.uniform(0.42, 0.58)
    angle = np.arctan2(y - centre_y, x - centre_x)
    border = look.radius * height * rng.uniform(0.85, 1.15) * _border(angle, look.irregularity, rng)
    inside = 1 / (1 + np.exp((np.hypot(x - centre_x, y - centre_y) - border) / (look.softness * scale)))
    skin = np.array((224, 178, 158)) + rng.normal(0, 5, 3)
    lesion = np.array(look.colour) + rng.normal(0, 8, 3)
    second = np.array(look.second_colour) + rng.normal(0, 8, 3)
    patches = _blobs(height, width, 12 * scale, rng)
    mask = (patches < np.quantile(patches, look.patches))[..., None] * 0.8
    canvas = skin + 6 * _blobs(height, width, 30 * scale, rng)[..., None]
    canvas = canvas * (1 - inside[..., None]) + (lesion * (1 - mask) + second * mask) * inside[..., None]
    canvas += rng.normal(0, 5, canvas.shape)
    return Image.fromarray(canvas.clip(0, 255).astype(np.uint8))


def _border(angle: _Floats, amplitude: float, rng: np.random.Generator) -> _Floats:
    waves = [np.sin(order * angle + rng.uniform(0, 2 * np.pi)) / order for order in (2, 3, 5, 8)]
    border: _Floats = 1 + amplitude * np.sum(waves, axis=0)
    return border


def _blobs(height: int, width: int, radius: float, rng: np.random.Generator) -> _Floats:
    """Smooth noise with mean 0 and standard deviation 1."""
    noise = Image.fromarray(rng.integers(0, 256, (height, width), dtype=np.uint8))
    smooth = np.asarray(noise.filter(ImageFilter.GaussianBlur(radius)), dtype=np.float64)
    blobs: _Floats = (smooth - smooth.mean()) / (smooth.std() + 1e-6)
    return blobs
