"""Arrays that are made once and kept on disk, each with a checksum behind its bytes that every start compares.

One process makes an array, others that need it wait; where they see no lock of each other, both make it, each in a
temporary file of its own. Not covered: what the bytes mean; removing old arrays.
"""

from __future__ import annotations

import logging
import os
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files import atomic_path
from dermedge_runtime.files.file_lock import one_at_a_time
from dermedge_runtime.files.temporary_files import remove_all_leftovers

_log = logging.getLogger(__name__)
_END = struct.Struct("<8s32sQI")
"""Behind the array: magic number, key, bytes of the array, their CRC-32. A CRC is fast, and nobody here is an enemy."""
_MAGIC = b"dermarr1"
_CHUNK = 4 << 20
_STALLED_S = 300.0
_YOUNG_NS = 2_000_000_000
"""A file changed less than this ago may change again without another time of change."""
_compared: dict[str, tuple[int, ...]] = {}
"""State of the files that this process has compared with their checksums."""


def kept_array(target: Path, key: str, make: Callable[[], Iterable[bytes]], what: str) -> NDArray[np.uint8]:
    """Give the bytes of an array, from `target` where it is whole, else made anew and kept there.

    :param key: 32 letters that name what is in it.
    :param make: gives the bytes in parts.
    :param what: the array in words, for the log.
    :return: uint8 [bytes], read-only and memory-mapped.
    :raises OSError: it cannot be written there.
    """
    if (found := _opened(target, key, what)) is not None:
        return found
    target.parent.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(target.with_name(f".{target.name}.lock"), _Patience(target, what)):
        if (found := _opened(target, key, None)) is not None:
            return found  # another process has made it meanwhile
        remove_all_leftovers(target.parent)
        _write(target, key, make())
    if (found := _opened(target, key, what)) is None:
        raise DermedgeError(f"{target} reads back otherwise than it was written; look after that disk.")
    return found


def kept_or_private_array(target: Path, key: str, make: Callable[[], Iterable[bytes]], what: str) -> NDArray[np.uint8]:
    """Do as `kept_array`, and where `target` cannot be written use a folder that ends with this process.

    :raises DermedgeError: it can be written nowhere.
    """
    try:
        return kept_array(target, key, make, what)
    except OSError as first:
        try:
            private = _private_folder()
            reason = first.strerror or first
            _say_once(
                f"{what} cannot be kept in {target.parent} ({reason}), so they lie in {private} for this process alone;"
                " DERMEDGE_CACHE names another folder"
            )
            return kept_array(private / target.name, key, make, what)
        except OSError as error:
            raise DermedgeError(
                f"{what.capitalize()} can be kept neither in {target.parent} ({first.strerror or first}) nor in the"
                f" temporary folder ({error.strerror or error}). DERMEDGE_CACHE names another folder."
            ) from error


@cache
def _say_once(text: str) -> None:
    _log.warning("%s", text)


@cache
def _private_folder() -> Path:
    return Path(_private().name)


@cache
def _private() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="dermedge-")  # its finalizer removes it when the interpreter ends


def _write(target: Path, key: str, parts: Iterable[bytes]) -> None:
    # Written as a stream, not through a memory map: a full disk is then an error and not a signal that kills.
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        length = checksum = 0
        for part in parts:
            stream.write(part)
            length, checksum = length + len(part), zlib.crc32(part, checksum)
        stream.write(_END.pack(_MAGIC, key.encode(), length, checksum))
        stream.close()  # Windows cannot rename an open file


def _opened(target: Path, key: str, what: str | None) -> NDArray[np.uint8] | None:
    """Give a whole array, or None; a damaged one is said, where `what` names it."""
    try:
        with target.open("rb") as stream:
            length, damage = _examine(stream, key)
            if damage is None:
                if not length:
                    return np.empty(0, dtype=np.uint8)
                return np.memmap(stream, dtype=np.uint8, mode="r", shape=(length,))
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            return None
        damage = error.strerror or str(error)
    if what is not None:
        _log.warning("%s in %s are damaged (%s) and made again", what, target, damage)
    return None


def _examine(stream: BinaryIO, key: str) -> tuple[int, str | None]:
    """Compare a file with what stands at its end; the number of bytes of its array, and what is wrong."""
    found = os.fstat(stream.fileno())
    length = found.st_size - _END.size
    if length < 0:
        return 0, "too short"
    stream.seek(length)
    magic, named, recorded, checksum = _END.unpack(stream.read(_END.size))
    if magic != _MAGIC or recorded != length:
        return 0, "cut off or overwritten"
    if named != key.encode():
        return 0, "it is another array"
    name, state = os.path.abspath(stream.name), (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    if _compared.get(name) == state:
        return length, None
    if _checksum(stream, length) != checksum:
        return 0, "its checksum differs"
    if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > _YOUNG_NS:
        _compared[name] = state
    return length, None


def _checksum(stream: BinaryIO, length: int) -> int:
    checksum, buffer = 0, memoryview(bytearray(_CHUNK))
    stream.seek(0)
    while length > 0:
        read = stream.readinto(buffer[: min(length, _CHUNK)])  # type: ignore[attr-defined]
        if not read:
            break
        checksum, length = zlib.crc32(buffer[:read], checksum), length - read
    return checksum


class _Patience:
    """Wait for another process as long as its temporary file grows."""

    def __init__(self, target: Path, what: str) -> None:
        self._target, self._what = target, what
        self._seen, self._since = -1, 0.0

    def __call__(self, waited: float) -> bool:
        if self._seen == -1:
            _log.warning("another process makes %s in %s; this one waits for it", self._what, self._target)
        if (size := self._written()) != self._seen:
            self._seen, self._since = size, waited
        if waited - self._since < _STALLED_S:
            return True
        _log.warning("that process has written nothing for %.0f s; %s are made here too", _STALLED_S, self._what)
        return False

    def _written(self) -> int:
        total = 0
        for path in self._target.parent.glob(f".{self._target.name}.*.tmp"):
            with suppress(OSError):
                total += path.stat().st_size
        return total
