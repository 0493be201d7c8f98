"""Which files hold the same bytes; reads no more of them than that takes.

Files of a size of their own are never opened, large ones are read whole only where their ends agree, and the hash of a
file that was read whole is remembered with its size and modification time. Not covered: pictures that look alike but
were written anew, cropped or resized.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from dermedge.progress import progress
from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files import cache_folder, write_text

_END = 1 << 16
"""Bytes at the end of a file that are compared first; the beginnings of pictures of one camera are alike."""


def same_content(paths: Iterable[Path]) -> dict[Path, str]:
    """Give the SHA-256 of every file whose bytes another one of them has too; the others are absent.

    Empty files, files that cannot be read and what is no regular file have no content to share. A path that is there
    twice counts once; a link counts as a file of its own.
    """
    sizes = {path: size for path in dict.fromkeys(paths) if (size := file_size(path))}
    alike = _shared(sizes, sizes.__getitem__)
    ends = dict(zip(alike, _in_threads(_end_hash, alike, "compare images"), strict=True))
    alike = _shared([path for path in alike if ends[path]], lambda path: (sizes[path], ends[path]))
    hashes = {path: ends[path] for path in alike if sizes[path] <= _END}
    hashes |= _remembered_hashes([path for path in alike if sizes[path] > _END])
    return {path: hashes[path] for path in _shared(hashes, hashes.__getitem__)}


def file_size(path: Path) -> int | None:
    """Size of a regular file in bytes; None where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _shared(paths: Iterable[Path], key: Callable[[Path], Hashable]) -> list[Path]:
    """Those whose key another one has too."""
    groups = defaultdict(list)
    for path in paths:
        groups[key(path)].append(path)
    return [path for group in groups.values() if len(group) > 1 for path in group]


def _end_hash(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _END))
            return hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        return ""


def _whole_hash(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def _remembered_hashes(paths: Sequence[Path]) -> dict[Path, str]:
    """Hash whole files, those that have not changed since an earlier start from memory."""
    if not paths:
        return {}
    memory = _read_memory()
    marks = {path: _mark(path) for path in paths}
    known = {path: memory.get(os.path.abspath(path), ["", ""]) for path in paths}
    stale = [path for path in paths if known[path][0] != marks[path]]
    hashes = {path: known[path][1] for path in paths}
    hashes |= dict(zip(stale, _in_threads(_whole_hash, stale, "compare images"), strict=True))
    if stale:
        memory |= {os.path.abspath(path): [marks[path], hashes[path]] for path in stale if hashes[path]}
        with suppress(OSError, DermedgeError):  # without a place to remember it, it is hashed again
            write_text(cache_folder() / _MEMORY, json.dumps(memory))
    return {path: digest for path, digest in hashes.items() if digest}


_MEMORY = "same-content.json"


def _read_memory() -> dict[str, list[str]]:
    """Read what is remembered; where it is missing or damaged nothing is."""
    try:
        memory = json.loads((cache_folder() / _MEMORY).read_text(encoding="utf-8"))
    except (OSError, ValueError, RuntimeError, DermedgeError):
        return {}
    if not isinstance(memory, Mapping):
        return {}
    return {name: entry for name, entry in memory.items() if _is_entry(entry)}


def _is_entry(entry: object) -> bool:
    return isinstance(entry, list) and len(entry) == 2 and all(isinstance(each, str) for each in entry)


def _mark(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size} {found.st_mtime_ns}"


def _in_threads(function: Callable[[Path], str], paths: Sequence[Path], label: str) -> list[str]:
    # Reading and hashing release the interpreter lock.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(progress(pool.map(function, paths), label, total=len(paths)))
