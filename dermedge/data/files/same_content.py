"""Which files hold the same bytes; reads no more of them than that takes.

Files of a size of their own are never opened, large ones are read whole only where their ends agree, and the hash of a
file that was read whole is remembered (`content_hashes`). Not covered: pictures that look alike but were written anew,
cropped or resized.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path

from dermedge.progress import in_threads
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.files import cache_folder

from .content_hashes import content_hashes, file_state, hash_file

_INDEX = Path("pixels", "content-hashes.json")  # the one of `pixel_cache`, which needs the same hashes
_END = 1 << 16
"""Bytes at the end of a file that are compared first; the beginnings of pictures of one camera are alike."""


def same_content(paths: Iterable[Path]) -> dict[Path, str]:
    """Give the SHA-256 of every file whose bytes another one of them has too; the others are absent.

    Empty files, files that cannot be read and what is no regular file have no content to share. A path that is there
    twice counts once; a link counts as a file of its own.
    """
    sizes = {path: size for path in dict.fromkeys(paths) if (size := file_size(path))}
    alike = _shared(sizes, sizes.__getitem__)
    ends = dict(zip(alike, in_threads(_end_hash, alike, "compare images"), strict=True))
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


def _remembered_hashes(paths: Sequence[Path]) -> dict[Path, str]:
    """Hash whole files, those that have not changed since an earlier start from memory."""
    names = {os.path.abspath(path): path for path in paths}
    states = {name: state for name in names if (state := file_state(name))}
    if not states:
        return {}
    try:
        index = cache_folder() / _INDEX
        hashes = content_hashes(states, index, lambda stale: in_threads(hash_file, stale, "compare images"))
    except OSError as error:
        raise InputRejected(f"{error.filename} cannot be read: {error.strerror or error}.") from error
    return {names[name]: digest for name, digest in hashes.items()}
