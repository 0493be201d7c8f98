"""One line of an audit log: JSON that ends with its own hash and names that of the line before.

`sha256` is the SHA-256 of the line's bytes before `,"sha256":`, and the next line carries it as `before`. So every line
fixes all lines before it, and a damaged last line, which no other line vouches for, is seen too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

BEGINNING = "0" * 64
"""What the first line of a log names as the hash of the line before."""
_KEY, _CLOSED = b',"sha256":"', b'"}'
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line whose own hash is right."""

    seq: int
    """Number in the log, from 1."""
    before: str
    """Hash of the line before."""
    sha256: str
    """Its own hash."""
    record: Mapping[str, Any]
    """All that it says."""

    def text(self, key: str) -> str:
        """Give what it says under a key, as text."""
        return str(self.record.get(key, ""))


def make_line(record: Mapping[str, Any]) -> tuple[bytes, str]:
    """Give the bytes of a line with its end, and its hash.

    :param record: with `seq` and `before`, and without `sha256`.
    """
    body = json.dumps(record, separators=(",", ":"), allow_nan=False)[:-1].encode("ascii")
    sha256 = hashlib.sha256(body).hexdigest()
    return b"".join((body, _KEY, sha256.encode("ascii"), _CLOSED, b"\n")), sha256


def read_line(line: bytes) -> LogLine | None:
    """Read a line, without its end; None: it is not as it was written, or was never one."""
    place = len(line) - len(_KEY) - 64 - len(_CLOSED)
    if place < 0 or line[place : place + len(_KEY)] != _KEY or not line.endswith(_CLOSED):
        return None
    sha256 = line[place + len(_KEY) : -len(_CLOSED)].decode("ascii", "replace")
    if hashlib.sha256(memoryview(line)[:place]).hexdigest() != sha256:
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    seq, before = record.get("seq"), record.get("before")
    if type(seq) is not int or seq < 1 or not is_sha256(before):
        return None
    return LogLine(seq, before, sha256, record)


def missing_text(record: Mapping[str, object]) -> str:
    """Say what is missing from a log: 3 lines (2 predicted, 1 rejected) are missing since 2026-01-31T12:00:00.000Z.

    :param record: of a line `missing`.
    """
    given = record.get("missing")
    counts = given if isinstance(given, dict) else {}
    lines = sum(count for count in counts.values() if isinstance(count, int))
    told = ", ".join(f"{count} {event}" for event, count in counts.items())
    are = "line is" if lines == 1 else "lines are"
    return f"{lines} {are} missing since {record.get('since')} ({told})"


def is_sha256(text: object) -> bool:
    """Tell whether something is 64 hexadecimal digits in small letters."""
    return isinstance(text, str) and len(text) == 64 and _DIGITS.issuperset(text)
