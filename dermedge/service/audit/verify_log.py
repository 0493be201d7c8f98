"""Whether a log is whole: every line that was altered, taken out, moved, doubled or put in, and where.

What no chain can show is that its very last lines were cut off. Who keeps a head (`head_of`) elsewhere can ask for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dermedge_runtime.errors import DermedgeError, InputRejected

from .check_chain import Chain, Fault, Gap, lines
from .growing_file import read_tail
from .log_files import files_of
from .log_line import LogLine, missing_text, read_line
from .read_log import Found, found_lines, in_order


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found in a log."""

    files: list[Path]
    """In the order of their lines."""
    lines: int
    """Lines that are as they were written, and in their place."""
    first: LogLine | None
    """The first of them; None: there is none."""
    last: LogLine | None
    faults: list[Fault]
    """In the order of the files; empty: nothing is wrong."""
    notes: list[str]
    """What is no fault, and worth knowing."""
    events: dict[str, int]
    """How many lines there are of each event."""
    expected: int | None = None
    """Number of the line whose hash was asked for; None: none was, or it is not there."""


@dataclass(slots=True)
class _Reading:
    chain: Chain = field(default_factory=Chain)
    events: Counter[str] = field(default_factory=Counter)
    count: int = 0
    expected: int | None = None
    filled: set[Path] = field(default_factory=set)


def verify_log(paths: Sequence[Path], expect: str | None = None) -> Verification:
    """Check a log.

    :param paths: its files in any order; the first file of a log stands for all of its files that lie beside it.
    :param expect: hash of a line, as `head_of` gave it once: it must still be there.
    :raises InputRejected: a file that is not there or cannot be read.
    """
    given = [file for path in paths for file in (files_of(path) if path.exists() else [path])]
    files = in_order(list({file.resolve(): file for file in given}.values()))
    reading = _Reading()
    for found in found_lines(files):
        reading.filled.add(found.file)
        if reading.chain.follow(found) and found.line is not None:
            reading.count += 1
            reading.events[found.line.text("event")] += 1
            if found.line.text("event") == "missing":
                told = missing_text(found.line.record)
                reading.chain.notes.append(f"{_place(found)}: the disk was full before this line: {told}")
            if found.line.sha256 == expect:
                reading.expected = found.line.seq
    chain = reading.chain
    chain.end()
    faults = [*chain.faults, *_out_of_order(files, chain)]
    faults += [Fault(file, 0, "holds no line") for file in files if file not in reading.filled]
    places = {file: place for place, file in enumerate(files)}
    faults.sort(key=lambda fault: (places[fault.file], fault.number))
    if expect is not None and reading.expected is None:
        faults.append(
            Fault(
                files[-1], 0, f"no line has the hash {expect}: the end was cut off before it, or it is of another log"
            )
        )
    return Verification(
        files, reading.count, chain.first, chain.last, faults, chain.notes, dict(reading.events), reading.expected
    )


def head_of(log: Path) -> tuple[LogLine, Path]:
    """Give the last line of a log, whose hash fixes all lines before it, and its file.

    :param log: path of the log's first file, or any one file.
    :raises InputRejected: it cannot be read.
    :raises DermedgeError: it has no line, or its last one is not as it was written.
    """
    for file in reversed(files_of(log) or [log]):
        try:
            tail = read_tail(file)
        except OSError as error:
            raise InputRejected(f"The audit log {file} cannot be read: {error.strerror or error}.") from error
        line = None if tail.last is None else read_line(tail.last)
        if tail.torn or (tail.last is not None and line is None):
            raise DermedgeError(f"The last line of {file} is not whole. Look at it with: dermedge audit verify {log}")
        if line is not None:
            return line, file
    raise DermedgeError(f"The audit log {log} holds no line.")


def _out_of_order(files: Sequence[Path], chain: Chain) -> list[Fault]:
    """Tell moved lines from missing ones, and doubles from what was put in."""
    faults: list[Fault] = []
    missing = {number for gap in chain.gaps for number in _few(gap, chain)}
    moved: set[int] = set()
    asked = {line.seq for _, line, _ in chain.strays} | {line.seq - 1 for _, line in chain.broken}
    placed = _in_place(files, asked - missing) if asked else {}
    for found, line, before in chain.strays:
        original = placed.get(line.seq)
        if line.seq in missing and line.seq not in moved:
            moved.add(line.seq)
            what = f"line {line.seq} stands out of its order, after line {before}"
        elif original is None:
            what = f"line {line.seq} stands out of its order, after line {before}, and not for the first time"
        elif original.line is not None and original.line.sha256 == line.sha256:
            what = f"line {line.seq} stands here a second time; it stands at {_place(original)} too"
        else:
            what = f"another line with the number {line.seq} than the one at {_place(original)}: one of them was put in"
        faults.append(Fault(found.file, found.number, what))
    faults += [fault for gap in chain.gaps for fault in _missing(gap, moved)]
    faults += [_broken(found, line, chain, placed) for found, line in chain.broken]
    return faults


def _few(gap: Gap, chain: Chain) -> set[int]:
    """Give the numbers of a gap that stand elsewhere; the gap itself may be of any size."""
    return {line.seq for _, line, _ in chain.strays if gap.first <= line.seq <= gap.last}


def _missing(gap: Gap, moved: set[int]) -> list[Fault]:
    faults, first = [], gap.first
    for number in [*sorted(each for each in moved if gap.first <= each <= gap.last), gap.last + 1]:
        if first < number:
            verb = "is" if first == number - 1 else "are"
            what = f"{lines(first, number - 1)} {verb} missing; there stands line {gap.last + 1}"
            faults.append(Fault(gap.at.file, gap.at.number, what))
        first = number + 1
    return faults


def _broken(found: Found, line: LogLine, chain: Chain, placed: dict[int, Found]) -> Fault:
    seq = line.seq - 1
    other = [stray for stray, each, _ in chain.strays if each.seq == seq and each.sha256 == line.before]
    original = placed.get(seq)
    where = "" if original is None else f" at {_place(original)}"
    what = f"line {line.seq} follows another line {seq} than the one{where}"
    what += f": the one at {_place(other[0])}" if other else f", which was exchanged, or this line {line.seq} was"
    return Fault(found.file, found.number, what)


def _in_place(files: Sequence[Path], numbers: set[int]) -> dict[int, Found]:
    """Find the first line with each of some numbers."""
    placed: dict[int, Found] = {}
    for found in found_lines(files):
        if found.line is not None and found.line.seq in numbers:
            placed.setdefault(found.line.seq, found)
    return placed


def _place(found: Found) -> str:
    return f"{found.file.name}:{found.number}"
