"""Follow the chain of a log's lines, and say of every break what stands there and what does not.

A line is right by itself (its own hash), in its place (its number) and behind the right line (the hash that it names).
The three together tell an altered line from one that is missing, was moved, stands there twice or was put in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dermedge_runtime.commands.shown_names import shown

from .log_line import BEGINNING, LogLine
from .read_log import Found

_SHOWN = 200
"""Characters of a line that is none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong."""

    file: Path
    number: int
    """Of the line in the file, from 1; 0: the file as a whole."""
    what: str
    """A sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers that are missing where the next one was to come."""

    first: int
    last: int
    at: Found
    """The line that stands there instead."""
    before: str
    """Hash of the last missing line, as that line names it."""


@dataclass(slots=True)
class Chain:
    """The lines that were followed so far."""

    next: int = 0
    """Number that is to come; 0: nothing has been read."""
    sha256: str | None = BEGINNING
    """Hash of the line before it; None: not known."""
    first: LogLine | None = None
    last: LogLine | None = None
    faults: list[Fault] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    strays: list[tuple[Found, LogLine, int]] = field(default_factory=list)
    """Lines with a number that was passed already, and the number of the line before them."""
    broken: list[tuple[Found, LogLine]] = field(default_factory=list)
    """Lines whose number is right, and that name another line before them."""
    notes: list[str] = field(default_factory=list)
    _unreadable: list[Found] = field(default_factory=list)

    def follow(self, found: Found) -> bool:
        """Take the next line; tell whether it stands in its place."""
        line = found.line
        if line is None:
            self._take_unreadable(found)
            return False
        if not self.next:
            self._start(found, line)
        gap = line.seq - self.next
        if gap < 0:
            self.strays.append((found, line, self.next - 1))
            return False
        if self._unreadable:
            self._explain_unreadable(found, gap)
        elif gap:
            self.gaps.append(Gap(self.next, line.seq - 1, found, line.before))
        if not gap and self.sha256 is not None and line.before != self.sha256:
            self.broken.append((found, line))
        self.next, self.sha256, self.last = line.seq + 1, line.sha256, line
        return True

    def end(self) -> None:
        """Say what is known of altered lines that no other follows."""
        for place, found in enumerate(self._unreadable):
            self._fault(found, f"line {max(1, self.next) + place}, the last, is altered{_there(found)}")
        self._unreadable.clear()

    def _start(self, found: Found, line: LogLine) -> None:
        self.first, self.next = line, 1
        if line.seq > 1 and (line.record.get("event") == "continued" or self._unreadable):
            self.next, self.sha256 = max(1, line.seq - len(self._unreadable)), None
            if self.next > 1:
                name = shown(line.text("file_before")) or "a file"
                where = f"line {self.next} in {found.file.name}"
                self.notes.append(f"begins in the middle, with {where}: it goes on from {name}, which was not given")

    def _take_unreadable(self, found: Found) -> None:
        if found.torn:
            self._fault(
                found,
                f"torn: after line {max(1, self.next) - 1} stand {len(found.content)} bytes without a line's end; where"
                f" a kill left them, the next start of the service moves them to {found.file.name}.torn{_there(found)}",
            )
        else:
            self._unreadable.append(found)

    def _explain_unreadable(self, after: Found, gap: int) -> None:
        """Say what lines that are none are, now that it is known which number comes after them."""
        bad, first = self._unreadable, self.next
        self._unreadable = []
        if gap == 0:
            for found in bad:
                self._fault(found, f"a line that is none of this log was put in after line {first - 1}{_there(found)}")
        elif gap == len(bad):
            for place, found in enumerate(bad):
                self._fault(found, f"line {first + place} is altered{_there(found)}")
        else:
            belong = f"{lines(first, first + gap - 1)} belong{'s' if gap == 1 else ''}"
            stand = "stands 1 line that is" if len(bad) == 1 else f"stand {len(bad)} lines that are"
            self._fault(bad[0], f"where {belong}, {stand} none of this log{_there(bad[0])}")

    def _fault(self, found: Found, what: str) -> None:
        self.faults.append(Fault(found.file, found.number, what))


def lines(first: int, last: int) -> str:
    """Name a range of lines."""
    return f"line {first}" if first == last else f"lines {first} to {last}"


def _there(found: Found) -> str:
    text = found.content[: 4 * _SHOWN].decode("utf-8", "backslashreplace")
    return f"; there stands: {shown(text[:_SHOWN])}{'...' if len(text) > _SHOWN else ''}"
