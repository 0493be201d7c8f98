"""How many lines a full disk kept out of a log, and since when: counted in a small file beside it that needs no room.

The file has its size from the start and is overwritten in place, so that a full disk takes the count, and a kill loses
none of it. Not covered: file systems that write elsewhere what is overwritten (Btrfs, ZFS) may refuse it; then the
count is that of the process alone.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.prediction import now

from .growing_file import write_whole
from .log_line import LogLine, missing_text
from .read_log import found_lines

_log = logging.getLogger(__name__)
_BYTES = 512


class MissingLines:
    """The count of one log."""

    def __init__(self, log: Path, newest: Sequence[Path] = ()) -> None:
        """Read what a process before has counted and not yet told the log.

        :param log: path of the log's first file.
        :param newest: its newest files, in which the count may stand: a process was ended just after it was written.
        :raises DermedgeError: the file beside the log holds something else, or a file of the log cannot be read.
        :raises OSError: it cannot be read.
        """
        self._log_path, self._path = log, log.with_name(f"{log.name}.missing")
        self.since = ""
        """When the first of them should have been written, UTC; empty: none is missing."""
        self.events: Counter[str] = Counter()
        self._said = False
        if self._path.exists():
            self._read()
        if self.since and any(_is_about(self.since, found.line) for found in found_lines(newest)):
            self._forget()

    def __bool__(self) -> bool:
        return bool(self.since)

    def make_room(self) -> None:
        """Make the file, at its size, while there is room.

        :raises OSError: there is none.
        """
        if not self.since:
            self._write()

    def count(self, event: str, why: str) -> None:
        """Count a line that could not be written.

        :param why: a sentence, for the log of the process.
        """
        if not self.since or not self._said:
            self.since, self._said = self.since or now(), True
            _log.error("%s ANSWERS GO ON, AND ARE MISSING FROM THE AUDIT LOG, from %s on.", why, self.since)
        self.events[event] += 1
        self._write_if_possible()

    def record(self) -> dict[str, object]:
        """Give what the log's line about them says."""
        return {"missing": dict(self.events), "since": self.since}

    def told(self, seq: int) -> None:
        """Begin anew: the log has the count.

        :param seq: number of its line.
        """
        told = missing_text(self.record())
        _log.error("The audit log %s is written again. %s; its line %d says so.", self._log_path, told, seq)
        self._forget()

    def _forget(self) -> None:
        self.since, self._said = "", False
        self.events.clear()
        self._write_if_possible()

    def _read(self) -> None:
        try:
            record = json.loads(self._path.read_text(encoding="ascii").strip() or "{}")
            self.events = Counter({str(event): int(count) for event, count in record.get("missing", {}).items()})
            self.since = str(record.get("since", ""))
        except (ValueError, AttributeError, TypeError) as error:
            raise DermedgeError(
                f"{self._path} should say how many lines are missing from the audit log, and says something else. Look"
                " at it, move it away, and start again."
            ) from error

    def _write_if_possible(self) -> None:
        try:
            self._write()
        except OSError as error:
            _log.error("%s cannot be written: %s.", self._path, error.strerror or error)

    def _write(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o640)
        try:
            text = json.dumps(self.record()) if self.since else ""
            write_whole(descriptor, f"{text:<{_BYTES - 1}}\n".encode("ascii"))
        finally:
            os.close(descriptor)


def _is_about(since: str, line: LogLine | None) -> bool:
    return line is not None and line.text("event") == "missing" and line.text("since") == since
