"""The log that a service writes: one line for every answer, and no line that could be taken out unseen.

A line holds when, what, with which model and versions, and which decision. It has no place for names, paths, pixels or
clinical values: a picture is in it as a salted hash.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Literal, NamedTuple, get_args

from dermedge.batch.results.owner_lock import only_writer
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.prediction import now

from .growing_file import GrowingFile, LineUnwritable, NoRoomForLine, read_tail, unwritable
from .log_files import files_of, next_file
from .log_line import BEGINNING, LogLine, is_sha256, make_line, read_line
from .missing_lines import MissingLines
from .salt_file import make_salt, read_salt, salt_fingerprint, salted
from .sync_thread import SyncThread

Event = Literal["started", "stopped", "predicted", "rejected"]
"""What a service writes; the log's own lines are begun, continued, repaired and missing."""
Sync = Literal["interval", "always"]
WhenFull = Literal["stop", "go-on"]
WHEN_FULL: tuple[WhenFull, ...] = get_args(WhenFull)
LARGEST = 64 << 20
_LONGEST_TEXT = 200
_SMALLEST_FILE = 1024


class Written(NamedTuple):
    """A line that is in the log."""

    seq: int
    sha256: str
    """The head of the log after it. Kept elsewhere, it shows whether the log was cut off before this line."""


class AuditLog:
    """An open log. One process at a time writes it; any of its threads may."""

    def __init__(
        self, path: Path, *, sync: Sync = "interval", when_full: WhenFull = "stop", largest: int = LARGEST
    ) -> None:
        """Open a log, or begin it; the torn line of a killed process is moved to NAME.torn, and a line says so.

        :param path: of its first file, such as audit.jsonl; PATH.salt and PATH.lock lie beside it.
        :param sync: interval: lines are put on the disk in the background within a second, and only a power cut can
            lose that second; always: before `append` returns.
        :param when_full: what `append` does where the disk is full. stop: it raises; go-on: it counts the line, and
            once there is room, a line `missing` says how many there are and since when. Their count is in
            PATH.missing, and the next process goes on with it.
        :param largest: bytes of a file, 1,024 or more; then the next one begins, audit.000002.jsonl.
        :raises UsageError: another word for `sync`, or too small a file.
        :raises DermedgeError: another process writes it, its salt is gone or another one, or its last line was changed.
        :raises LineUnwritable: it cannot be written.
        """
        if when_full not in WHEN_FULL:
            raise UsageError(f"An audit log takes when_full stop or go-on, got {when_full!r}.")
        if sync not in get_args(Sync) or largest < _SMALLEST_FILE:
            raise UsageError(
                f"An audit log takes sync interval or always, got {sync!r}, and files of at least {_SMALLEST_FILE}"
                f" bytes, got {largest}."
            )
        self.path, self._largest, self._always = path, largest, sync == "always"
        self._lock, self._process = Lock(), os.getpid()
        self._seq, self._sha256, self._opening = 0, BEGINNING, 0
        self._file: GrowingFile | None = None
        self._held = ExitStack()
        self._goes_on = when_full == "go-on"
        try:
            self._held.enter_context(only_writer(path))
            self._missing = MissingLines(path, files_of(path)[-2:])
            self._open()
            if self._goes_on:
                self._missing.make_room()
        except OSError as error:
            self._held.close()
            raise unwritable(path, error) from error
        except BaseException:
            self._held.close()
            raise
        self._thread = None if self._always else SyncThread(lambda: self._file.sync() if self._file else None)

    @property
    def head(self) -> Written:
        """The last line."""
        with self._lock:
            return Written(self._seq, self._sha256)

    def append(
        self,
        event: Event,
        *,
        model_sha256: str | None = None,
        versions: Mapping[str, str] | None = None,
        picture_sha256: str | None = None,
        label: str | None = None,
        decision: str | None = None,
        device: str | None = None,
    ) -> Written | None:
        """Write a line; the system has it when this returns, so an answer may leave.

        None: the disk is full, the log goes on without lines, and this one is counted.

        :param model_sha256: of the model's file, in hexadecimal, as `Classifier.sha256`.
        :param versions: by package.
        :param picture_sha256: of the picture's file, in hexadecimal; the log gets a salted hash of it.
        :param label: class code, as `Prediction.label`.
        :param decision: as `Prediction.decision`.
        :param device: as `Prediction.device`.
        :raises UsageError: a value that has no place in the log.
        :raises NoRoomForLine: the disk is, the log does not go on without lines, and nothing of this one is there.
        :raises LineUnwritable: the disk fails, or another program has touched the file.
        :raises DermedgeError: the log is closed, or the process is a fork of the one that opened it.
        """
        for name, value in (("model_sha256", model_sha256), ("picture_sha256", picture_sha256)):
            if value is not None and not is_sha256(value):
                raise UsageError(f"An audit log takes a {name} of 64 hexadecimal digits.")
        texts = {"label": label, "decision": decision, "device": device}
        for name, value in texts.items():
            if value is not None and len(value) > _LONGEST_TEXT:
                raise UsageError(f"An audit log takes a {name} of at most {_LONGEST_TEXT} characters.")
        if event not in get_args(Event):
            raise UsageError(f"An audit log takes the events {', '.join(get_args(Event))}; got {event!r}.")
        picture = None if picture_sha256 is None else salted(self._salt, picture_sha256)
        known = {"model_sha256": model_sha256, "versions": dict(versions or {}) or None, "picture": picture, **texts}
        with self._lock:
            self._require_open()
            try:
                written = self._add(event, {name: value for name, value in known.items() if value is not None})
            except NoRoomForLine as error:
                if not self._goes_on:
                    raise
                self._missing.count(event, str(error))
                return None
            if self._always:
                self.sync()
            elif self._thread is not None:
                self._thread.ask()
            return written

    def sync(self) -> None:
        """See that all lines lie on the disk.

        :raises LineUnwritable: they do not.
        """
        if self._file is not None:
            self._file.sync()

    def close(self) -> None:
        """Put everything on the disk and let the next process write; a second call does nothing.

        :raises LineUnwritable: it does not lie on the disk.
        """
        if self._process != os.getpid():
            return  # the log is that of the process that opened it
        with self._lock, self._held:
            file, self._file = self._file, None
            if file is not None:
                if self._thread is not None:
                    self._thread.close()
                file.close()

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _require_open(self) -> None:
        if self._file is None:
            raise DermedgeError(f"The audit log {self.path} is closed.")
        if self._process != os.getpid():
            raise DermedgeError(f"The audit log {self.path} was opened by another process, of which this is a fork.")

    def _open(self) -> None:
        files = files_of(self.path)
        file = GrowingFile(files[-1] if files else self.path)
        try:
            self._go_on(file, files)
        except BaseException:
            file.close()
            raise

    def _go_on(self, file: GrowingFile, files: list[Path]) -> None:
        """Take up the chain at its last line, wherever the process before was ended."""
        last, before = file.tail.last, files[-2] if len(files) > 1 else None
        if last is None and before is not None:
            last = read_tail(before).last
        if last is None:
            self._salt = make_salt(self.path)
        else:
            found = _whole(last, file.path)
            self._seq, self._sha256 = found.seq, found.sha256
            self._salt = read_salt(self.path)
            self._check_salt(file.path if file.tail.last is not None else before or file.path)
        if file.tail.torn:
            file.move_torn_end()
        if not file.size:
            self._begin(file, before)
        self._file, self._opening = file, self._opening or _first_line_length(file.path)
        if file.tail.torn:
            self._write(file, "repaired", file.torn_record())
        file.sync()

    def _check_salt(self, file: Path) -> None:
        with file.open("rb") as stream:
            first = _whole(stream.readline(1 << 16).removesuffix(b"\n"), file)
        if first.record.get("salt") != salt_fingerprint(self._salt):
            raise DermedgeError(
                f"The salt beside {self.path} is not the one that this log was begun with. Put that one back, or begin"
                " a log under another name."
            )

    def _add(self, event: str, values: Mapping[str, Any]) -> Written:
        """Write a line, and with it the one about those that are missing: both have room, or the gap goes on."""
        assert self._file is not None
        entries = [(event, values)]
        if self._missing:
            entries.insert(0, ("missing", self._missing.record()))
        content, written = self._chained(entries)
        if self._file.size + len(content) > self._largest and self._file.size > self._opening:
            self._next_file()
            content, written = self._chained(entries)
        self._put(self._file, content, written)
        if self._missing:
            self._missing.told(written.seq - 1)
        return written

    def _next_file(self) -> None:
        """Go on in a new file; where that fails, the old one stays the newest."""
        assert self._file is not None
        old = self._file
        old.sync()  # no line of the new file may be on the disk before those that it follows
        path = next_file(self.path, old.path)
        try:
            new = GrowingFile(path)
        except OSError as error:
            raise unwritable(path, error) from error
        try:
            if new.size:
                raise LineUnwritable(f"{path}, in which the audit log was to go on, is there already. Move it away.")
            self._begin(new, old.path)
        except BaseException:
            new.close()
            raise
        self._file = new
        old.close()
        new.sync()

    def _begin(self, file: GrowingFile, before: Path | None) -> None:
        """Write a file's first line."""
        fixed: dict[str, Any] = {"format": 1, "salt": salt_fingerprint(self._salt)}
        if before is None:
            self._write(file, "begun", fixed)
        else:
            self._write(file, "continued", {**fixed, "file_before": before.name})
        self._opening = file.size

    def _write(self, file: GrowingFile, event: str, values: Mapping[str, Any]) -> None:
        self._put(file, *self._chained([(event, values)]))

    def _chained(self, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[bytes, Written]:
        """Make the next lines; gives their bytes, and the head after them."""
        lines, seq, sha256 = [], self._seq, self._sha256
        for event, values in entries:
            seq += 1
            line, sha256 = make_line({"seq": seq, "time": now(), "event": event, **values, "before": sha256})
            lines.append(line)
        return b"".join(lines), Written(seq, sha256)

    def _put(self, file: GrowingFile, content: bytes, written: Written) -> None:
        file.append(content)
        self._seq, self._sha256 = written


def _whole(line: bytes, path: Path) -> LogLine:
    found = read_line(line)
    if found is None:
        raise DermedgeError(
            f"A line of the audit log {path} is not as it was written, so it is not gone on with. Look at it with"
            " dermedge audit verify, keep it, and begin a log under another name."
        )
    return found


def _first_line_length(path: Path) -> int:
    with path.open("rb") as stream:
        return len(stream.readline())
