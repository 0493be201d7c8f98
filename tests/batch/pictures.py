"""Small pictures that differ, and tables about them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def encoded(number: int, kind: str = "PNG") -> bytes:
    """A picture of 20 x 16 pixels; each number another one."""
    pixels = np.random.default_rng(number).integers(0, 256, (16, 20, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format=kind)
    return stream.getvalue()


def folder_of(folder: Path, *names: str) -> Path:
    """Write a picture under every name."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number, "JPEG" if name.lower().endswith(("jpg", "jpeg")) else "PNG"))
    return folder
