"""One frame of a DICOM file, which is read and decoded when its turn comes, while the others stay in the file."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.picture_memory import MEMORY, Damaged, Unsuitable, one_picture
from dermedge_runtime.inputs.picture_source import cannot_read, printable, reason_of

from .frame_places import Piece, frame_places
from .header import Header, frame_length
from .native import swap_bytes
from .pixels import check_frame_size, decode

_PIECE = 1 << 20


@contextmanager
def open_file(path: str, name: str) -> Iterator[IO[bytes]]:
    """Open a regular file, and turn every way in which it can fail into one `InputRejected`.

    :raises InputRejected: it cannot be opened, or what reads it raises anything.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise Damaged("it is no regular file")
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        with os.fdopen(os.open(path, flags), "rb") as stream:
            yield stream
    except InputRejected:
        raise
    except Unsuitable as error:
        raise InputRejected(f"The image {printable(name)} {error}") from error
    except Damaged as error:
        raise cannot_read(name, str(error)) from error
    except FileNotFoundError as error:
        raise cannot_read(name, "there is no such file") from error
    except MemoryError as error:
        raise cannot_read(name, "there is not enough memory for it") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise cannot_read(name, reason_of(error)) from error


class DicomFile:
    """A file that several frames share: hashed once, and its frames found once."""

    def __init__(self, path: str, name: str, header: Header, state: tuple[int, ...]) -> None:
        self.name, self.header = name, header
        self._path, self._state = path, state
        self._lock = threading.Lock()
        self._places: list[list[Piece]] | None = None
        self.sha256: str | None = None
        """Of the file's bytes, in hexadecimal; None until a frame was fetched."""

    def __getstate__(self) -> dict[str, Any]:
        """Give what another process needs; a lock stays in its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def frame(self, index: int) -> bytes | NDArray[np.uint8]:
        """Read and decode one frame.

        :param index: from 0.
        :return: uint8 [H, W, 3], RGB, or [H, W], grey; or the encoded bytes of a JPEG picture.
        :raises InputRejected: it is damaged, of a kind that is not read, or too large; or the file has changed.
        """
        with open_file(self._path, self.name) as stream, one_picture():
            self._require_unchanged(stream)
            with self._lock:
                if self.sha256 is None:
                    self.sha256 = _sha256(stream)
                if self.header.length is None and self._places is None:
                    self._places = frame_places(stream, self.header)
            content = self._content(stream, index)
            self._require_unchanged(stream)
            return decode(content, self.header)

    def _require_unchanged(self, stream: IO[bytes]) -> None:
        if state_of(stream) != self._state:
            raise Damaged("it has changed since it was found")

    def _content(self, stream: IO[bytes], index: int) -> bytes:
        if self._places is None:
            length = frame_length(self.header)
            pieces = [(self.header.start + index * length, length)]
        else:
            pieces = self._places[index]
        total = sum(length for _, length in pieces)
        check_frame_size(self.header, min(total, MEMORY + 1))
        if not self.header.is_swapped:
            return b"".join(_read(stream, at, length) for at, length in pieces)
        # A frame of odd length begins in the middle of two bytes that are exchanged.
        (at, length), start = pieces[0], self.header.start
        before = (at - start) % 2
        whole = swap_bytes(_read(stream, at - before, before + length + (before + length) % 2))
        return whole[before : before + length]


class DicomFrame:
    """One frame, for the threads that read ahead."""

    def __init__(self, file: DicomFile, index: int) -> None:
        self.name = file.name
        self.sha256: str | None = None
        """Of the whole file, in hexadecimal; None until it was read."""
        self._file, self._index = file, index

    def fetch(self) -> bytes | NDArray[np.uint8]:
        """Read and decode the frame, and no other.

        :return: uint8 [H, W, 3], RGB, or [H, W], grey; or the encoded bytes of a JPEG picture.
        :raises InputRejected: see `DicomFile.frame`.
        """
        try:
            return self._file.frame(self._index)
        finally:
            self.sha256 = self._file.sha256


def state_of(stream: IO[bytes]) -> tuple[int, ...]:
    """Give what changes when a file does."""
    status = os.fstat(stream.fileno())
    return status.st_ino, status.st_size, status.st_mtime_ns


def _sha256(stream: IO[bytes]) -> str:
    stream.seek(0)
    found = hashlib.sha256()
    while piece := stream.read(_PIECE):
        found.update(piece)
    return found.hexdigest()


def _read(stream: IO[bytes], at: int, length: int) -> bytes:
    stream.seek(at)
    content = stream.read(length)
    if len(content) != length:
        raise Damaged("it breaks off before its end")
    return content
