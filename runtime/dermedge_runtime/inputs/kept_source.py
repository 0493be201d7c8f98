"""What is kept of a picture that a caller gives: nothing that changes when the caller goes on with their own buffer.

Arrays and buffers are copied, open files and pipes are read, a path is made absolute, and what a path gave is
remembered by the checksum of what the model saw. Not covered: decoding (`image`).
"""

from __future__ import annotations

import os
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermedge_runtime.errors import InputRejected
from dermedge_runtime.model.description import ImageSpec

from .image import MAX_PIXELS, ImageSource, load_sized, picture_name, upright_rgb
from .later_picture import LaterPicture, is_later
from .picture_source import cannot_read, printable, read_whole, reason_of

MAX_STREAM = 256 * 2**20
"""Bytes that are read from a pipe at most; a file has no such limit."""


@dataclass(frozen=True, slots=True)
class Source:
    """One picture, safe from later changes, not yet decoded."""

    name: str
    """For messages and results: the path as it was given, or what kind of object it is."""
    content: str | bytes | Image.Image | NDArray[np.uint8] | LaterPicture | None
    """An absolute path, or an own copy; None for no picture. A Pillow image is the caller's own, to be read at once."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What the model saw of a file, so that a file that has changed since can be told."""

    size: int
    resample: str
    detail: int
    checksum: int
    """CRC-32 of the model's uint8 [size, size, 3]."""


def keep(image: Any) -> Source:
    """Take a picture from the caller.

    :param image: an `ImageSource` or a `LaterPicture`; None for no picture.
    :raises InputRejected: it is none of these, or an open file that cannot be read.
    """
    if image is None or isinstance(image, Image.Image):
        return Source(picture_name(image), image)
    if is_later(image):
        return Source(image.name, image)
    if isinstance(image, str | os.PathLike):
        return _keep_path(os.fsdecode(image))
    if isinstance(image, np.ndarray):
        # What is no picture is refused when it is read, and need not be copied for that.
        fits = image.dtype == np.uint8 and image.nbytes <= 4 * MAX_PIXELS
        return Source(picture_name(image), image.copy() if fits else image)
    if callable(getattr(image, "read", None)):
        name = picture_name(image)
        return Source(name, read_whole(image, name))
    try:
        content = image if isinstance(image, bytes) else bytes(memoryview(image))
    except TypeError:
        raise InputRejected(_no_picture(image)) from None
    return Source(picture_name(content), content)


def decode(source: Source, spec: ImageSpec) -> tuple[NDArray[np.uint8], tuple[int, int], ImageSource]:
    """Read a picture as the model sees it.

    :return: uint8 [size, size, 3]; width and height of the upright picture; and the picture, safe from later changes.
    :raises InputRejected: as `image.load_image`.
    """
    content: Any = source.content
    assert content is not None
    try:
        if is_later(content):
            content = content.fetch()
        pixels, size = load_sized(content, spec.size, spec.resample, spec.detail)
        if isinstance(content, Image.Image):
            # Upright and in RGB, so that nothing else that an image carries along has to be copied.
            content = Image.fromarray(np.array(upright_rgb(content)))
    except InputRejected as error:
        # Messages name the picture as it was given.
        told, given = printable(picture_name(content)), printable(source.name)
        raise InputRejected(str(error).replace(told, given)) from error
    return pixels, size, content


def fingerprint(picture: ImageSource, pixels: NDArray[np.uint8], spec: ImageSpec) -> Fingerprint | None:
    """Remember what the model saw of a file; None for what cannot change."""
    if not isinstance(picture, str):
        return None
    return Fingerprint(spec.size, spec.resample, spec.detail, zlib.crc32(pixels.data))


def require_unchanged(picture: ImageSource, seen: Fingerprint | None, name: str) -> None:
    """See that a file still is the picture that was classified.

    :raises InputRejected: it is gone, or another one.
    """
    if seen is None:
        return
    if zlib.crc32(load_sized(picture, seen.size, seen.resample, seen.detail)[0].data) != seen.checksum:
        raise InputRejected(
            f"The file {printable(name)} is no longer the picture that was classified. Classify it again."
        )


def _keep_path(path: str) -> Source:
    if not path:
        raise InputRejected("The path of an image must not be empty.")
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # ValueError: a null character; the reader says it
        mode = 0
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode):
        return Source(path, _read_pipe(path))
    return Source(path, absolute(path))


def absolute(path: str) -> str:
    """Make a path absolute, with every `..` in it: after a link it is not what `abspath` takes it for."""
    try:
        return os.path.join(os.getcwd(), path)
    except OSError:  # the current folder is gone
        return path


def _read_pipe(path: str) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(MAX_STREAM + 1)
    except OSError as error:
        raise cannot_read(path, reason_of(error)) from error
    if len(content) > MAX_STREAM:
        raise cannot_read(path, f"the pipe gives more than {MAX_STREAM // 2**20} MB. Save the picture to a file")
    return content


def _no_picture(image: object) -> str:
    kind = type(image).__name__
    text = f"An image must be a path, bytes, a binary file, a Pillow image or a uint8 array, got {kind}."
    if isinstance(image, list | tuple | set | frozenset):
        text += " Several pictures go to predict_many."
    elif hasattr(image, "__array__"):
        text += " Convert it with numpy.asarray, to RGB of [height, width, 3]."
    return text
