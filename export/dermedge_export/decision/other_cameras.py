"""The photographs of a data set as a finer or harder compressed file would show them.

A score for unfamiliar pictures that knows one way of making files takes every other for another world: fitted on files
of 200 x 150 pixels alone, it called all of nine originals of 600 x 450 unfamiliar, and none of them once they were made
as small. Nothing can give a file detail that it lacks, but a smaller copy of it, filled up with its mirror images, has
as much detail a pixel as a finer file.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageFilter

_SHARES = (0.4, 1.0)
"""Of the width and height, to which a photograph is reduced."""


def by_another_camera(photograph: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Give a photograph with finer detail, RGB of its own size: reduced, mirrored at its borders, and now and then
    sharpened or compressed again.
    """
    width, height = photograph.size
    share = rng.uniform(*_SHARES)
    small = photograph.resize((max(1, int(width * share)), max(1, int(height * share))), Image.Resampling.LANCZOS)
    missing = ((0, height - small.height), (0, width - small.width), (0, 0))
    picture = Image.fromarray(np.pad(np.asarray(small), missing, mode="symmetric"))
    if rng.random() < 0.5:
        sharpened = ImageFilter.UnsharpMask(
            float(rng.uniform(0.5, 1.5)), percent=int(rng.integers(20, 100)), threshold=0
        )
        picture = picture.filter(sharpened)
    if rng.random() < 0.3:
        encoded = io.BytesIO()
        picture.save(encoded, format="JPEG", quality=int(rng.integers(50, 98)), subsampling=int(rng.integers(0, 3)))
        picture = Image.open(encoded).convert("RGB")
    return picture
