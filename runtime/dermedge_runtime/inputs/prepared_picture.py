"""One picture as the network takes it, with all that an answer says of it; can be made in another process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.model.description import ImageSpec

from .image import ImageSource
from .kept_source import Fingerprint, Source, decode, fingerprint
from .picture_check import picture_faults


@dataclass(frozen=True, slots=True)
class PreparedPicture:
    """One picture that was read; everything but the name is None for a model that reads none."""

    name: str
    """For messages and results."""
    content: ImageSource | None = None
    """The picture, safe from later changes: for overlays and reports."""
    size: tuple[int, int] | None = None
    """Width and height of the upright picture, in pixels."""
    pixels: NDArray[np.uint8] | None = None
    """uint8 [size, size, 3]."""
    seen: Fingerprint | None = None
    """Of a file, which can change."""
    faults: tuple[str, ...] = ()
    """What is wrong with it, sentences without full stops."""


def prepare(source: Source, spec: ImageSpec | None) -> PreparedPicture:
    """Read a picture as a model sees it.

    :param spec: of the model; None for one that reads none.
    :raises InputRejected: missing, empty, not whole, unreadable or too large.
    """
    if spec is None:
        return PreparedPicture(source.name)
    pixels, size, content = decode(source, spec)
    seen, faults = fingerprint(content, pixels, spec), picture_faults(pixels, size)
    return PreparedPicture(source.name, content, size, pixels, seen, faults)


def stacked(pictures: list[PreparedPicture]) -> NDArray[np.uint8] | None:
    """Put pictures together, uint8 [B, size, size, 3]; None for a model that reads none."""
    pixels = [picture.pixels for picture in pictures if picture.pixels is not None]
    return np.stack(pixels) if pixels else None
