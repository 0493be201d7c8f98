"""A HEIC file, as phones write them, is decoded when its turn comes, by pillow-heif.

Pillow itself is not taught to read HEIC: that would change what every other part of this process reads. The decoder
turns the picture as the file's own boxes say, so it is upright; an orientation in EXIF, which says the same again, is
passed over. Covered: 10 bits (their upper 8), alpha (laid on white), grey, grids, the main picture of several. Not
covered: wrong pixel data of the right length, for the format has no checksums.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermedge.require import how_to_install
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.formats.iso_boxes import brands, check_boxes, check_holes
from dermedge_runtime.inputs.kept_source import absolute
from dermedge_runtime.inputs.picture_memory import Damaged, Unsuitable, check_size, one_picture
from dermedge_runtime.inputs.picture_rows import to_rgb
from dermedge_runtime.inputs.picture_source import cannot_read, printable, read_path

ENDINGS = frozenset({".heic", ".heif"})
_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif"})
_HELD = 20
"""Bytes per pixel: the planes of the decoder, its RGB, and the picture."""


def is_heic(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file ends as HEIC files do."""
    return PurePath(os.fsdecode(path)).suffix.lower() in ENDINGS


class HeicFile:
    """A HEIC or HEIF file, for the threads that read ahead."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fsdecode(path)
        self._path = absolute(self.name)
        self.sha256: str | None = None
        """Of the file's bytes, in hexadecimal; None until it was read."""

    def fetch(self) -> NDArray[np.uint8]:
        """Read and decode the file.

        :return: uint8 [H, W, 3], RGB, upright.
        :raises InputRejected: it is missing, not whole, too large, no HEIC file, or pillow-heif is not installed.
        """
        content = read_path(self._path, self.name)
        self.sha256 = hashlib.sha256(content).hexdigest()
        try:
            with one_picture():
                return _decode(content)
        except Unsuitable as error:
            raise InputRejected(f"The image {printable(self.name)} {error}") from error
        except Damaged as error:
            raise cannot_read(self.name, str(error)) from error
        except MemoryError as error:
            raise cannot_read(self.name, "there is not enough memory for it") from error


def _decode(content: bytes) -> NDArray[np.uint8]:
    if brands(content).isdisjoint(_BRANDS):
        raise Damaged("its content is no HEIC picture")
    boxes = check_boxes(content)
    try:
        import pillow_heif
    except ImportError:
        how = how_to_install(["pillow_heif"], "heic")
        raise Damaged(f"HEIC files are read by pillow-heif, which is not installed. {how}") from None
    try:
        opened: Any = pillow_heif.open_heif(content, convert_hdr_to_8bit=True)
        picture = opened[opened.primary_index]
        check_size(picture.size, "a HEIC file", _HELD, 2 * len(content))
        check_holes(content, boxes, _notes(picture.info))
        pixels = picture.data  # decoded only now
        size, mode, stride = picture.size, picture.mode, picture.stride
    except (Damaged, Unsuitable, MemoryError):
        raise
    except Exception as error:  # of libheif's own words nobody could say what they mean
        raise Damaged("its pixel data are incomplete or broken") from error
    if mode not in ("L", "RGB", "RGBA", "RGBa"):
        raise Unsuitable(f"has colours of the kind {mode}, which are not read. Save it as JPEG.")
    return np.asarray(to_rgb(Image.frombuffer(mode, size, pixels, "raw", mode, stride, 1)))


def _notes(info: dict[str, Any]) -> list[bytes]:
    """Give the blocks of EXIF and XMP as they lie in the file."""
    notes = [info.get("exif"), info.get("xmp"), *(block.get("data") for block in info.get("metadata") or ())]
    return [note.removeprefix(b"Exif\0\0") for note in notes if isinstance(note, bytes)]
