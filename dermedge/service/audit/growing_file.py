"""A file that only this process adds whole lines to, and that notices when somebody else touches it.

Every line goes to the system before `append` returns, so that a kill loses none.
"""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from dermedge_runtime.errors import DermedgeError

_PIECE = 1 << 16
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The disk is full, or what this user may have of it, or the file is as long as one may be."""


class LineUnwritable(DermedgeError):
    """A line could not be written, and nothing of it is there; or it is there, and may not lie on the disk."""


class NoRoomForLine(LineUnwritable):
    """There is no room for a line, and nothing of it is there; all lines before it are."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a file of lines."""

    last: bytes | None
    """The last whole line, without its end; None: there is none."""
    torn: bytes
    """What follows it, and has no end."""


def read_tail(path: Path) -> Tail:
    """Read the end of a file of lines.

    :raises OSError: it cannot be read.
    """
    length = _PIECE
    with path.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        while True:
            start = stream.seek(max(0, size - length))
            content = stream.read(size - start)
            end = content.rfind(b"\n")
            before = content.rfind(b"\n", 0, max(0, end))
            if start == 0 or before >= 0:
                return Tail(content[before + 1 : end] if end >= 0 else None, content[end + 1 :])
            length *= 4


class GrowingFile:
    """An open file of lines."""

    def __init__(self, path: Path, what: str = "audit log") -> None:
        """Open a file, or make it; its name lies on the disk afterwards.

        :param what: it is, for messages.
        :raises OSError: it cannot be written.
        """
        self.path, self._what = path, what
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(path, flags, 0o640)
        self._disk = Lock()
        self._lost: LineUnwritable | None = None
        _sync_folder(path.parent)
        self._state = os.fstat(self._descriptor)
        self.size = self._state.st_size
        self.tail = read_tail(path)
        """As it was when the file was opened."""

    def move_torn_end(self) -> None:
        """Move what follows the last whole line to NAME.torn, which lies on the disk before it is cut off here.

        :raises OSError: one of the two cannot be written.
        """
        descriptor = os.open(
            self.path.with_name(f"{self.path.name}.torn"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640
        )
        try:
            write_whole(descriptor, self.tail.torn)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.size -= len(self.tail.torn)
        os.ftruncate(self._descriptor, self.size)

    def torn_record(self) -> dict[str, object]:
        """Say what was moved away."""
        torn = self.tail.torn
        return {"file": self.path.name, "torn_bytes": len(torn), "torn_sha256": hashlib.sha256(torn).hexdigest()}

    def append(self, line: bytes) -> None:
        """Add a whole line, or nothing.

        :raises LineUnwritable: the disk is full or fails, or another program has touched the file.
        """
        if self._lost is not None:
            raise self._lost
        try:
            found = os.stat(self.path)
            if found.st_size != self.size or not os.path.samestat(found, self._state):
                raise LineUnwritable(
                    f"The {self._what} {self.path} was changed or replaced by another program: {self.size:,} bytes"
                    f" were written, and it has {found.st_size:,}. Verify it, and start again."
                )
            write_whole(self._descriptor, line)
        except OSError as error:
            with suppress(OSError):  # where it cannot be cut back, the next line is refused for the size
                os.ftruncate(self._descriptor, self.size)
            raise unwritable(self.path, error, self._what) from error
        self.size += len(line)

    def sync(self) -> None:
        """See that all lines lie on the disk; once it has failed, no line is taken any more.

        :raises LineUnwritable: they do not.
        """
        with self._disk:
            if self._descriptor < 0:
                return
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                # The next fsync would succeed, and the system have forgotten what it could not write.
                # So it is more than a full disk, even where that is what it says: lines that were there are lost.
                self._lost = LineUnwritable(str(unwritable(self.path, error, self._what)))
                raise self._lost from error

    def close(self) -> None:
        """Put everything on the disk and close the file.

        :raises LineUnwritable: it does not lie there.
        """
        try:
            self.sync()
        finally:
            with self._disk:
                descriptor, self._descriptor = self._descriptor, -1
                if descriptor >= 0:
                    os.close(descriptor)


def unwritable(path: Path, error: OSError, what: str = "audit log") -> LineUnwritable:
    """Make the error of a line that could not be written."""
    kind = NoRoomForLine if error.errno in _NO_ROOM else LineUnwritable
    return kind(f"The {what} {path} cannot be written: {error.strerror or error}.")


def write_whole(descriptor: int, content: bytes) -> None:
    """Write all of some bytes.

    :raises OSError: not all of them have room.
    """
    left = memoryview(content)
    while left:
        written = os.write(descriptor, left)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left = left[written:]


def _sync_folder(folder: Path) -> None:
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
