"""The lines of a log's files, one after the other, with the place of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dermedge_runtime.errors import InputRejected

from .log_line import LogLine, read_line

_LONGEST = 1 << 20
"""Bytes of a line; ours have 600."""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in one line of a file."""

    file: Path
    number: int
    """Of the line in the file, from 1."""
    content: bytes
    """Without the line's end."""
    line: LogLine | None
    """None: it is not as it was written, or was never a line of a log."""
    torn: bool = False
    """Whether it has no end, which only the last line of a file can lack."""


def found_lines(files: Sequence[Path]) -> Iterator[Found]:
    """Read files line by line.

    :raises InputRejected: one cannot be read.
    """
    for file in files:
        try:
            with file.open("rb") as stream:
                number = 0
                while content := stream.readline(_LONGEST):
                    number += 1
                    if content.endswith(b"\n"):
                        yield Found(file, number, content[:-1], read_line(content[:-1]))
                    elif len(content) < _LONGEST:
                        yield Found(file, number, content, None, torn=True)
                    else:
                        torn = _skip_to_end(stream.readline)
                        yield Found(file, number, content, None, torn=torn)
        except OSError as error:
            raise InputRejected(f"The audit log {file} cannot be read: {error.strerror or error}.") from error


def in_order(files: Sequence[Path]) -> list[Path]:
    """Put the files of a log in the order of the numbers of their lines; those without any line come last.

    :raises InputRejected: one cannot be read.
    """

    def first(file: Path) -> float:
        return next((float(found.line.seq) for found in found_lines([file]) if found.line is not None), float("inf"))

    return sorted(files, key=first)


def _skip_to_end(readline: object) -> bool:
    """Pass over the rest of a line that is too long; tell whether it has no end."""
    assert callable(readline)
    while rest := readline(_LONGEST):
        if rest.endswith(b"\n"):
            return False
    return True
