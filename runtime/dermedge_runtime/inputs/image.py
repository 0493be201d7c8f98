"""Any picture a clinic has -> uint8 RGB of the model's size (Pillow and numpy only); training uses it too.

Covered: JPEG (baseline, progressive, CMYK, greyscale, MPO), PNG (palette, alpha, 16 bit), WebP, AVIF, TIFF, BMP;
EXIF orientation; transparency (laid on white); 16-bit grey (its upper 8 bits); files that are not whole (refused); a
cap on pixels and memory; large JPEG files scaled down while they are decoded. No process-wide switch of Pillow,
warnings or numpy is changed, and none is trusted.
Not covered: colour profiles (ignored, here as in training), hair removal, judging whether the picture shows skin.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermedge_runtime.errors import InputRejected

from .formats.stored_picture import Enough, StoredPicture
from .orientation import SWAPS, TURNS, is_exif_known, orientation_of
from .picture_memory import MAX_PIXELS, Damaged, Unsuitable, check_size, one_picture
from .picture_rows import resize, resize_rows, rows_of_array, to_rgb
from .picture_source import (
    ImageSource,
    cannot_read,
    check_array,
    picture_name,
    printable,
    read_path,
    read_whole,
    reason_of,
)

__all__ = [
    "DETAIL",
    "DETAILS",
    "FORMATS",
    "MAX_PIXELS",
    "RESAMPLING",
    "ImageSource",
    "load_image",
    "load_sized",
    "picture_name",
    "read_whole",
    "squash",
    "upright_rgb",
]

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP")  # the JPEG reader also takes MPO, which many cameras write
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


DETAILS = (1, 2)
"""To how many times the model's size, at least, a JPEG file may be scaled down while it is decoded."""
DETAIL = 2
"""That of files and runs that do not say. Down to it no pixel of nine photographs changed by more than 8 levels."""


def load_image(source: ImageSource, size: int, resample: str = "bilinear", detail: int = DETAIL) -> NDArray[np.uint8]:
    """Read one picture as the model sees it.

    :param source: see `ImageSource`.
    :param size: height and width in pixels; the whole frame is squashed to it (paper, section 3.2.3).
    :param resample: a key of `RESAMPLING`; Pillow's filters average over the source pixels when they shrink.
    :param detail: one of `DETAILS`, as the model was trained.
    :return: uint8 [size, size, 3], RGB.
    :raises InputRejected: missing, empty, not whole, unreadable or too large.
    """
    return load_sized(source, size, resample, detail)[0]


def load_sized(
    source: ImageSource, size: int, resample: str = "bilinear", detail: int = DETAIL
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """As `load_image`, and also give the width and height of the upright picture in its own size.

    A JPEG file is scaled down by 2, 4 or 8 while it is decoded, where its shorter side is no less than `detail` times
    `size` afterwards. That changes the pixels a little; arrays and Pillow images are never scaled so.
    """
    if detail not in DETAILS:
        raise ValueError(f"detail is {detail}, known are {', '.join(map(str, DETAILS))}")
    target = (size, size)
    with _rejecting(source) as name:
        if isinstance(source, np.ndarray):
            array = check_array(source)
            own = array.shape[1], array.shape[0]
            check_size(own)
            squashed = resize_rows(rows_of_array(array), own, target, RESAMPLING[resample])
            return np.asarray(squashed, dtype=np.uint8), own
        stored = _read(source, name, lambda _: (detail * size, detail * size))
        squashed = resize(stored.image, target, RESAMPLING[resample], stored.box)
        turn = TURNS.get(stored.orientation)
        # Turned last: the squashed picture is far smaller than a photograph.
        squashed = squashed if turn is None else squashed.transpose(turn)
        return np.asarray(squashed, dtype=np.uint8), stored.size[::-1] if turn in SWAPS else stored.size


def squash(image: Image.Image, size: int, resample: str) -> Image.Image:
    """Squash an RGB picture to the model's size."""
    return image if image.size == (size, size) else image.resize((size, size), RESAMPLING[resample])


def upright_rgb(source: ImageSource, largest: int | None = None) -> Image.Image:
    """Read one picture as upright RGB, in its own size or smaller.

    :param largest: the longer side in pixels that is enough; a larger picture is reduced to it. None: its own size,
        which takes 4 bytes of memory per pixel, and 8 where it has to be turned or its colours converted.
    :raises InputRejected: as `load_image`.
    """
    with _rejecting(source) as name:
        if isinstance(source, np.ndarray):
            array = check_array(source)
            own = array.shape[1], array.shape[0]
            check_size(own)
            if largest is not None and max(own) > largest:
                return resize_rows(rows_of_array(array), own, _within(own, largest), Image.Resampling.BICUBIC)
            return Image.fromarray(array).convert("RGB")
        stored = _read(source, name, None if largest is None else lambda size: _within(size, largest))
        if largest is not None and max(stored.size) > largest:
            target = _within(stored.size, largest)
            upright = resize(stored.image, target, Image.Resampling.BICUBIC, stored.box)
        else:
            upright = to_rgb(stored.image)
        turn = TURNS.get(stored.orientation)
        return upright if turn is None else upright.transpose(turn)


def _within(size: tuple[int, int], largest: int) -> tuple[int, int]:
    scale = largest / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


@contextmanager
def _rejecting(source: object) -> Iterator[str]:
    """Turn every way in which a picture can fail into one `InputRejected`; gives the picture's name."""
    name = picture_name(source)
    try:
        with one_picture():
            yield name
    except InputRejected:
        raise
    except Unsuitable as error:
        raise InputRejected(f"The image {printable(name)} {error}") from error
    except MemoryError as error:
        raise cannot_read(name, "there is not enough memory for it") from error
    except Exception as error:  # damaged files make Pillow raise nearly anything, struct.error among it
        raise InputRejected(
            f"Cannot read the image {printable(name)}: {reason_of(error)}. Is the file complete?"
        ) from error


def _read(source: Any, name: str, enough: Enough | None) -> StoredPicture:
    """Decode a picture; a JPEG file no larger than is enough, where that is much smaller."""
    content = read_whole(source, name)
    if isinstance(content, Image.Image):
        return _from_pillow(content, name)
    if isinstance(content, str | os.PathLike):
        content = read_path(content, name)
    if not isinstance(content, bytes):
        raise InputRejected(
            "An image must be a path, bytes, an open binary file, a Pillow image or a uint8 array,"
            f" got {type(source).__name__}."
        )
    return _decode(content, name, enough)


def _decode(content: bytes, name: str, enough: Enough | None) -> StoredPicture:
    reader = _reader(content)
    if reader is None:
        raise InputRejected(
            f"Cannot read {printable(name)}: its content is no picture of a known format ({', '.join(FORMATS)})."
        )
    return reader(content, enough)


def _reader(content: bytes) -> Callable[[bytes, Enough | None], StoredPicture] | None:
    """Find the format by the first bytes; what it needs is imported only now."""
    if content.startswith(b"\xff\xd8\xff"):
        from .formats.jpeg_file import read_jpeg

        return read_jpeg
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        from .formats.png_file import read_png

        return lambda encoded, _: read_png(encoded)
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        from .formats.webp_file import read_webp

        return lambda encoded, _: read_webp(encoded)
    if content[4:8] == b"ftyp":
        return _reader_of_boxes(content)
    if content[:2] in (b"II", b"MM") and content[2:4] in (b"*\0", b"\0*", b"+\0", b"\0+"):
        from .formats.tiff_file import read_tiff

        return lambda encoded, _: read_tiff(encoded)
    if content.startswith(b"BM"):
        from .formats.bmp_file import read_bmp

        return lambda encoded, _: read_bmp(encoded)
    return None


def _reader_of_boxes(content: bytes) -> Callable[[bytes, Enough | None], StoredPicture] | None:
    from .formats.iso_boxes import brands

    if brands(content).isdisjoint((b"avif", b"avis")):
        return None
    from .formats.avif_file import read_avif

    return lambda encoded, _: read_avif(encoded)


def _from_pillow(image: Image.Image, name: str) -> StoredPicture:
    """Take a Pillow image; the caller's own stays as it is, and what it has not loaded yet is read as any file."""
    check_size(image.size)
    encoded = _not_loaded_yet(image)
    if encoded is not None and _reader(encoded) is not None:
        stored = _decode(encoded, name, None)
        told = orientation_of(image) if is_exif_known(image) else stored.orientation
        return StoredPicture(stored.image, stored.size, stored.box, told)
    _load_strictly(image)
    return StoredPicture.whole(image, orientation_of(image))


def _not_loaded_yet(image: Image.Image) -> bytes | None:
    """Give the file behind a Pillow image that is open and not loaded, where its first picture is meant as it is."""
    stream: Any = getattr(image, "fp", None)
    waiting = getattr(image, "tile", None) or image.format == "WEBP"
    if stream is None or not waiting or getattr(image, "decoderconfig", None) or image.tell() != 0:
        return None
    place = stream.tell()
    try:
        stream.seek(0)
        content = stream.read()
    finally:
        stream.seek(place)
    return content if isinstance(content, bytes) else None


def _load_strictly(image: Image.Image) -> None:
    """Load a Pillow image, and refuse what Pillow may have left out because another library told it to."""
    if not getattr(image, "tile", None):
        image.load()
        return
    from PIL import ImageFile

    if not ImageFile.LOAD_TRUNCATED_IMAGES:
        image.load()
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise Damaged(
            "another part of this program has set LOAD_TRUNCATED_IMAGES, so that nobody can tell whether it is whole"
        )
