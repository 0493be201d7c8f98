"""The files of one log: audit.jsonl, then audit.000002.jsonl and so on; each is only ever added to, none is renamed."""

from __future__ import annotations

import re
from pathlib import Path

_FIRST = 1


def files_of(log: Path) -> list[Path]:
    """Give the files of a log that are there, in their order.

    :param log: path of its first file, which may have been put away.
    """
    numbered = re.compile(rf"{re.escape(log.stem)}\.([0-9]{{6,}}){re.escape(log.suffix)}")
    found = [(int(match[1]), path) for path in _siblings(log) if (match := numbered.fullmatch(path.name))]
    first = [(_FIRST, log)] if log.exists() else []
    return [path for _, path in sorted(first + found)]


def next_file(log: Path, newest: Path) -> Path:
    """Give the path of the file that follows the newest one of a log."""
    number = _FIRST if newest == log else int(newest.name[len(log.stem) + 1 : len(newest.name) - len(log.suffix)])
    return log.with_name(f"{log.stem}.{number + 1:06}{log.suffix}")


def _siblings(log: Path) -> list[Path]:
    return list(log.parent.iterdir()) if log.parent.is_dir() else []
