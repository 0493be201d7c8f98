"""What can be given as a picture, and how its encoded bytes are had: paths, bytes, open files, Pillow images, arrays.

Not covered: what the bytes mean; `image` decodes them.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermedge_runtime.errors import InputRejected

from .picture_memory import MEMORY

ImageSource: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | NDArray[np.uint8]
)
"""A path, encoded bytes, an open binary file, a Pillow image, or an array, uint8 [H, W, 3] or [H, W].

The channels of an array are red, green, blue: OpenCV reads blue, green, red, so give `array[..., ::-1]` of its arrays.
A Pillow image that is loaded already is taken as it is, and so is what it lacks.
"""

_PIECE = 1 << 20
_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a pipe; give the open file or its bytes"),
    (stat.S_ISSOCK, "it is a socket"),
    (lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode), "it is a device; give the open file or its bytes"),
)


def picture_name(source: object) -> str:
    """Name a picture in messages and results: its path, or what kind of object it is; never fails."""
    if source is None:
        return "<no image>"
    try:
        if isinstance(source, str | os.PathLike):
            return os.fsdecode(source)
        if isinstance(source, bytes | bytearray):
            return f"<{len(source)} bytes>"
        if isinstance(source, memoryview):
            return f"<{source.nbytes} bytes>"
        if not isinstance(source, np.ndarray):
            for attribute in ("name", "filename"):
                name = getattr(source, attribute, None)
                if isinstance(name, str | bytes | os.PathLike) and name:
                    return os.fsdecode(name)
    except Exception:  # whatever a stranger's object raises, it still has a type
        return f"<{type(source).__name__}>"
    return f"<{type(source).__name__}>"


def printable(name: str) -> str:
    """Make a name fit for one line of a message: no line breaks, and no bytes that no terminal can show."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


def reason_of(error: BaseException) -> str:
    """Say in half a sentence what an exception says."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(" ".join(str(text).split())[:200].rstrip("."))


def cannot_read(name: str, reason: str) -> InputRejected:
    """Make the error of a picture that cannot be read."""
    return InputRejected(f"Cannot read the image {printable(name)}: {reason}.")


def read_whole(source: Any, name: str) -> Any:
    """Read an open file from its beginning, so that its picture can be had again.

    What can change later (bytearray, memoryview) is copied; paths, bytes, Pillow images and arrays are given back.

    :raises InputRejected: it is open as text, closed, asynchronous, too large or cannot be read.
    """
    if isinstance(source, str | os.PathLike | bytes | Image.Image | np.ndarray) or source is None:
        return source
    if isinstance(source, bytearray | memoryview):
        if isinstance(source, memoryview) and (source.ndim != 1 or source.itemsize != 1):
            raise cannot_read(name, "a memoryview must hold the bytes of a file; give pixels as a NumPy array")
        return bytes(source)
    try:
        _refuse_awaitable(source, name)
        read = getattr(source, "read", None)
        if not callable(read):
            return source
        if isinstance(source, io.TextIOBase):
            raise cannot_read(name, "the file is open as text. Open it in binary mode")
        _rewind(source, name)
        content = _read_pieces(read, name) if isinstance(source, io.IOBase) else read()
    except InputRejected:
        raise
    except Exception as error:  # a stranger's object raises what it likes
        raise cannot_read(name, f"{reason_of(error)}. Give an open binary file") from error
    _refuse_awaitable(content, name)
    if not isinstance(content, bytes | bytearray | memoryview):
        found = "the file is open as text" if isinstance(content, str) else f"its read() gave {type(content).__name__}"
        raise cannot_read(name, f"{found}. Open it in binary mode")
    return _of_allowed_length(bytes(content), name)


def read_path(path: str | os.PathLike[str], name: str) -> bytes:
    """Read a regular file; anything else is refused without waiting for it.

    :raises InputRejected: it is missing, no regular file, too large or cannot be read.
    """
    try:
        _check_kind(os.stat(path).st_mode, name)
        # A pipe may take the file's place meanwhile: do not wait for its writer.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        with os.fdopen(os.open(path, flags), "rb") as stream:
            status = os.fstat(stream.fileno())
            _check_kind(status.st_mode, name)
            if status.st_size > MEMORY:
                raise _too_long(status.st_size, name)
            content = stream.read(status.st_size + 1)
            # It is longer than it said: it grows, or it is one of those in /proc, which say 0.
            return content + _read_pieces(stream.read, name) if len(content) > status.st_size else content
    except FileNotFoundError as error:
        raise cannot_read(name, "there is no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null character
        raise cannot_read(name, reason_of(error)) from error


def check_array(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Give an array without its subclass, which may define its own arithmetic.

    :raises InputRejected: not uint8, not [H, W, 3] or [H, W], or nothing in it.
    """
    grey, colour = array.ndim == 2, array.ndim == 3 and array.shape[-1] == 3
    if array.dtype != np.uint8 or not (grey or colour) or array.size == 0:
        raise InputRejected(
            "An image array must be uint8 of shape [height, width, 3] (red, green, blue) or [height, width],"
            f" got {array.dtype} {list(array.shape)}.{_mend(array)}"
        )
    if np.ma.isMaskedArray(array) and np.ma.getmaskarray(array).any():
        raise InputRejected("An image array must have no masked pixels. Give array.filled() with a value you choose.")
    return np.asarray(array)


def _mend(array: NDArray[Any]) -> str:
    shape, kind = array.shape, array.dtype
    if array.size == 0:
        return " It is empty."
    if len(shape) == 4:
        return " Give one picture at a time."
    if len(shape) == 3 and shape[2] == 1:
        return " Give array[..., 0]."
    if len(shape) == 3 and shape[2] == 4:
        return " Give Image.fromarray(array), whose transparency is laid on white, or array[..., :3]."
    if len(shape) == 3 and shape[2] != 3 and shape[0] == 3:
        return " Give array.transpose(1, 2, 0)."
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3):
        return ""
    if kind == np.uint16:
        return " Give (array >> 8).astype(np.uint8) if it uses all 16 bits."
    if kind == np.bool_:
        return " Give array.astype(np.uint8) * 255."
    if np.issubdtype(kind, np.floating):
        return " Give (array * 255).round().astype(np.uint8) if its values are 0 to 1."
    return " Give array.astype(np.uint8) if its values are 0 to 255."


def _refuse_awaitable(found: object, name: str) -> None:
    if hasattr(found, "__await__"):
        close = getattr(found, "close", None)  # a coroutine that is dropped would complain
        if callable(close):
            close()
        raise cannot_read(name, "its read() is asynchronous. Give the bytes: await upload.read() first")


def _rewind(source: Any, name: str) -> None:
    seekable, seek = getattr(source, "seekable", None), getattr(source, "seek", None)
    if not callable(seek):
        return
    if callable(seekable):
        can = seekable()
        _refuse_awaitable(can, name)
        if can:
            _refuse_awaitable(seek(0), name)
        return
    try:
        done = seek(0)
    except Exception:  # it cannot go back, and says so in its own way
        return
    _refuse_awaitable(done, name)


def _read_pieces(read: Callable[[int], Any], name: str) -> bytes:
    """Read to the end, however little comes at once, and no more than is allowed."""
    pieces: list[bytes] = []
    total = 0
    while True:
        piece = read(_PIECE)
        if piece is None:
            raise cannot_read(name, "it has nothing to read yet (it does not block). Give its bytes")
        if not isinstance(piece, bytes | bytearray | memoryview):
            raise cannot_read(name, f"its read() gave {type(piece).__name__}. Open it in binary mode")
        if not piece:
            return b"".join(pieces)
        pieces.append(bytes(piece))
        total += len(piece)
        if total > MEMORY:
            raise _too_long(total, name)


def _of_allowed_length(content: bytes, name: str) -> bytes:
    if len(content) > MEMORY:
        raise _too_long(len(content), name)
    return content


def _too_long(length: int, name: str) -> InputRejected:
    return cannot_read(name, f"{length // 1_000_000} MB are over the limit of {MEMORY // 1_000_000} MB for a file")


def _check_kind(mode: int, name: str) -> None:
    if stat.S_ISREG(mode):
        return
    raise cannot_read(name, next((what for is_so, what in _KINDS if is_so(mode)), "it is no regular file"))
