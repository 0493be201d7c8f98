"""Any picture a clinic has -> uint8 RGB of the model's size (Pillow and numpy only); training uses it too.

Covered: JPEG (baseline, progressive, CMYK, greyscale, MPO), PNG (palette, alpha, 16 bit), WebP, TIFF, BMP; EXIF
orientation; transparency (laid on white); 16-bit grey (its upper 8 bits); a cap on the number of pixels; large JPEG
files scaled down while they are decoded.
Not covered: colour profiles (ignored, here as in training), hair removal, judging whether the picture shows skin.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from .errors import InputRejected

ImageSource: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | NDArray[np.uint8]
"""What `load_image` reads: a path, encoded bytes, an open binary file, a Pillow image, or uint8 [H, W, 3] or [H, W]."""

MAX_PIXELS = 100_000_000
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")  # the JPEG reader also takes MPO, which many cameras write
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF orientation; what is not here stands upright or says nothing."""
_SWAPS = {_TURNS[orientation] for orientation in (5, 6, 7, 8)}


def describe(source: ImageSource | None) -> str:
    """Name a picture in messages and results: its path, or what kind of object it is."""
    if source is None:
        return "<no image>"
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    if isinstance(source, bytes):
        return f"<{len(source)} bytes>"
    name = getattr(source, "name", None) or getattr(source, "filename", None)
    return str(name) if name else f"<{type(source).__name__}>"


def load_image(source: ImageSource, size: int, resample: str = "bilinear") -> NDArray[np.uint8]:
    """Read one picture as the model sees it.

    :param source: see `ImageSource`.
    :param size: height and width in pixels; the whole frame is squashed to it (paper, section 3.2.3).
    :param resample: a key of `RESAMPLING`; Pillow's filters average over the source pixels when they shrink.
    :return: uint8 [size, size, 3], RGB.
    :raises InputRejected: missing, empty, truncated, unreadable or over `MAX_PIXELS`.
    """
    return load_sized(source, size, resample)[0]


def load_sized(source: ImageSource, size: int, resample: str = "bilinear") -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """As `load_image`, and also give the width and height of the upright picture in its own size.

    A JPEG file whose shorter side is at least four times `size` is scaled down while it is decoded, to no less than
    twice `size`. That changes the pixels a little; arrays and Pillow images are decoded already, and never scaled so.
    """
    if isinstance(source, np.ndarray):
        array = _from_array(source)
        return np.asarray(squash(array, size, resample), dtype=np.uint8), array.size
    name = describe(source)
    encoded = read_whole(source, name)
    with _open(encoded, name) as image:
        _check_pixels(image.size, name)
        stored = image.size
        # The caller's own image must stay as it is.
        box = None if image is encoded else _scale_while_decoding(image, size)
        colour = _to_rgb(image, name)
        if box is None:
            stored = image.size  # a TIFF file is turned by its decoder, and knows its size only now
            squashed = squash(colour, size, resample)
        else:
            squashed = colour.resize((size, size), RESAMPLING[resample], box)
        turn = _turn(image)
        # Turned last: the squashed picture is far smaller than a photograph.
        squashed = squashed if turn is None else squashed.transpose(turn)
        return np.asarray(squashed, dtype=np.uint8), stored[::-1] if turn in _SWAPS else stored


def squash(image: Image.Image, size: int, resample: str) -> Image.Image:
    """Squash an RGB picture to the model's size."""
    return image if image.size == (size, size) else image.resize((size, size), RESAMPLING[resample])


def upright_rgb(source: ImageSource) -> Image.Image:
    """Read one picture in its own size as upright RGB.

    :raises InputRejected: as `load_image`.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    name = describe(source)
    with _open(read_whole(source, name), name) as image:
        _check_pixels(image.size, name)
        colour, turn = _to_rgb(image, name), _turn(image)
        return colour if turn is None else colour.transpose(turn)


def read_whole(source: ImageSource, name: str) -> str | os.PathLike[str] | bytes | Image.Image:
    """Read an open file from its beginning, so that its picture can be had again; anything else is given back.

    :raises InputRejected: the file is open as text, or cannot be read.
    """
    read = getattr(source, "read", None)
    if not callable(read) or isinstance(source, Image.Image):
        return source  # type: ignore[return-value]
    try:
        if getattr(source, "seekable", lambda: False)():
            source.seek(0)  # type: ignore[union-attr]
        content = read()
    except (OSError, ValueError) as error:
        raise InputRejected(f"Cannot read the image {name}: {_reason(error)}. Open it in binary mode.") from error
    if not isinstance(content, bytes):
        raise InputRejected(f"Cannot read the image {name}: the file is open as text. Open it in binary mode.")
    return content


def _from_array(array: NDArray[Any]) -> Image.Image:
    grey, colour = array.ndim == 2, array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not (grey or colour) or array.size == 0:
        raise InputRejected(
            "An image array must be uint8 of shape [height, width, 3] or [height, width],"
            f" got {array.dtype} {list(array.shape)}."
        )
    _check_pixels((array.shape[1], array.shape[0]), "<array>")
    return Image.fromarray(array).convert("RGB")


@contextmanager
def _open(source: str | os.PathLike[str] | bytes | Image.Image, name: str) -> Iterator[Image.Image]:
    """Open an encoded picture; every way in which Pillow can fail, then or later, becomes one `InputRejected`."""
    try:
        if isinstance(source, Image.Image):
            yield source
            return
        if not isinstance(source, str | os.PathLike | bytes):
            raise InputRejected(
                "An image must be a path, bytes, a binary file, a Pillow image or a uint8 array,"
                f" got {type(source).__name__}."
            )
        stream = io.BytesIO(source) if isinstance(source, bytes) else source
        if isinstance(stream, str | os.PathLike) and not Path(stream).is_file():
            found = "it is a folder" if Path(stream).is_dir() else "there is no such file"
            raise InputRejected(f"Cannot read the image {name}: {found}.")
        with warnings.catch_warnings():
            # Pillow warns of many pixels and of odd EXIF data; what matters is refused below, the rest is noise.
            warnings.simplefilter("ignore")
            with Image.open(stream, formats=FORMATS) as opened:
                yield opened
    except Image.DecompressionBombError as error:
        raise _too_large(name, None) from error
    except UnidentifiedImageError as error:
        raise InputRejected(
            f"Cannot read {name}: its content is no picture of a known format ({', '.join(FORMATS)})."
        ) from error
    except InputRejected:
        raise
    except Exception as error:  # damaged files make Pillow raise nearly anything, struct.error among it
        raise InputRejected(f"Cannot read the image {name}: {_reason(error)}. Is the file complete?") from error


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split()).rstrip(".")


def _check_pixels(size: tuple[int, int], name: str) -> None:
    if 0 in size:
        raise InputRejected(f"The image {name} is {size[0]} x {size[1]} pixels, so there is nothing to see.")
    if size[0] * size[1] > MAX_PIXELS:
        raise _too_large(name, size)


def _too_large(name: str, size: tuple[int, int] | None) -> InputRejected:
    found = f"is {size[0]} x {size[1]} pixels" if size else "claims several hundred million pixels"
    return InputRejected(
        f"The image {name} {found}, over the limit of {MAX_PIXELS // 1_000_000} megapixels (a decompression bomb?)."
        " Reduce it first."
    )


def _scale_while_decoding(image: Image.Image, size: int) -> tuple[float, float, float, float] | None:
    """Let a JPEG decoder leave out the detail that the model's size cannot hold, where there is plenty.

    :return: what the frame covers of the decoded picture, whose last row and column can be partly filled; None: all of
        it, nothing is scaled.
    """
    if not isinstance(image, JpegImageFile) or min(image.size) < 4 * size:
        return None
    # Down to twice the size no pixel of nine photographs changed by more than 8 levels, down to the size itself by 26.
    drafted = image.draft(None, (2 * size, 2 * size))
    return drafted[1] if drafted else None


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Tell how a loaded picture has to be turned to stand upright."""
    return _TURNS.get(image.getexif().get(0x0112, 1))


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    image.load()
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise InputRejected(
            f"The image {name} has 32 bits per pixel, whose range is unknown. Save it with 8 or 16 bits."
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(background, image).convert("RGB")
    return image.convert("RGB")
