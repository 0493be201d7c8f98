"""SHA-256 of files, remembered between starts with what the file system says about each file.

Hashing 10,015 files again at every start would take seconds. A hash is trusted while size, both times and the inode are
the same: copying another content over a file with its old time (`cp -p`, rsync) changes the time of the inode or the
inode. What changed in the two seconds before it was hashed is hashed again, because a clock may be that coarse.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from dermedge_runtime.files import write_text
from dermedge_runtime.files.file_lock import one_at_a_time

_log = logging.getLogger(__name__)
_FORMAT = 3
_COARSE_NS = 2_000_000_000
_WAIT_S = 10.0

State = tuple[int, int, int, int]
"""Size, time of the content and of the inode in nanoseconds, inode."""


def file_state(name: str) -> State | None:
    """Give what changes with a file's content, or None for a file that cannot be opened."""
    try:
        with Path(name).open("rb") as stream:
            found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def content_hashes(
    states: dict[str, State], index: Path, hash_all: Callable[[Sequence[str]], Iterable[str]]
) -> dict[str, str]:
    """Give the hash of every file, computing only those that are not remembered.

    :param states: of the files, by absolute path, as they were just now.
    :param index: the file that remembers; a missing or damaged one is an empty one.
    :param hash_all: hashes files, in their order.
    """
    remembered = _read(index)
    known = {name: entry[-1] for name, entry in remembered.items() if _is_certain(entry, states.get(name))}
    stale = [name for name in states if name not in known]
    if not stale:
        return known
    now = time.time_ns()
    fresh = dict(zip(stale, hash_all(stale), strict=True))
    _remember(index, {name: [*states[name], now, fresh[name]] for name in stale})
    return known | fresh


def hash_file(path: str | Path) -> str:
    """Hash one file."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _read(index: Path) -> dict[str, list[Any]]:
    try:
        record = json.loads(index.read_text(encoding="utf-8"))
        files = record["files"]
        if record["format"] != _FORMAT or record["sha256"] != _digest(files):
            return {}
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return {}
    return {name: entry for name, entry in files.items() if isinstance(entry, list) and len(entry) == 6}


def _is_certain(entry: list[Any], state: State | None) -> bool:
    """Say whether a file in this state has the content that was hashed."""
    return state == tuple(entry[:4]) and max(state[1:3]) < entry[4] - _COARSE_NS


def _digest(files: object) -> str:
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def _remember(index: Path, entries: dict[str, list[Any]]) -> None:
    """Add entries to those that are there by now; another process may have added its own meanwhile.

    :param entries: by absolute path: state, time of the hashing, hash.
    """
    try:
        index.parent.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(index.with_name(f".{index.name}.lock"), lambda waited: waited < _WAIT_S):
            files = _read(index) | entries
            write_text(index, json.dumps({"format": _FORMAT, "sha256": _digest(files), "files": files}))
    except OSError as error:
        _log.info("%s cannot be written (%s): the pictures are hashed at every start", index, error.strerror)
