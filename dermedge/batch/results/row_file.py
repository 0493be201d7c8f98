"""A file of lines that only ever grows by whole lines: whatever ends the process, it holds what was written before.

Every piece goes to the system at once, so that a killed process loses none, and to the disk at intervals, so that a
power cut loses a few seconds. What a full disk or a kill leaves of a line is cut off, at once or at the next opening.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

_SYNC_EVERY_S = 5.0
_PIECE = 1 << 20


class RowFile:
    """An open file of lines."""

    def __init__(self, path: Path) -> None:
        """Open a file for more lines, or make it; a last line without its end is cut off.

        :raises OSError: it cannot be written.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(path, flags, 0o666)
        self._end = self._whole_lines()
        os.ftruncate(self._descriptor, self._end)
        os.lseek(self._descriptor, self._end, os.SEEK_SET)
        self._synced = time.monotonic()

    @property
    def empty(self) -> bool:
        """Whether there is no line yet."""
        return self._end == 0

    def append(self, lines: bytes) -> None:
        """Write whole lines; where they cannot all be written, none is there.

        :raises OSError: such as a full disk.
        """
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            os.ftruncate(self._descriptor, self._end)
            os.lseek(self._descriptor, self._end, os.SEEK_SET)
            error.filename = str(self.path)
            raise
        self._end += len(lines)
        if time.monotonic() - self._synced >= _SYNC_EVERY_S:
            self.sync()

    def sync(self) -> None:
        """See that all lines lie on the disk."""
        os.fsync(self._descriptor)
        self._synced = time.monotonic()

    def close(self) -> None:
        """Put everything on the disk and close the file."""
        try:
            self.sync()
        finally:
            os.close(self._descriptor)

    def lines(self) -> Iterator[bytes]:
        """Give the lines that are there, without their ends, one after the other."""
        with self.path.open("rb") as stream:
            for line in stream:
                if line.endswith(b"\n"):
                    yield line[:-1]

    def _whole_lines(self) -> int:
        """Find where the last whole line ends."""
        end = os.fstat(self._descriptor).st_size
        while end:
            start = max(0, end - _PIECE)
            os.lseek(self._descriptor, start, os.SEEK_SET)
            found = os.read(self._descriptor, end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
        return 0
