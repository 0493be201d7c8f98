"""Decoded pictures, kept once on disk as one memory-mapped uint8 array per (content, size, filter).

The key is made of the pictures' content hashes; hashing 10,015 files again at every start would take seconds, so a
file's hash is remembered with its size and modification time. Not covered: evicting old arrays.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dermedge.progress import progress
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.files import atomic_path, cache_folder, write_text
from dermedge_runtime.image import load_image

_FORMAT = "2"  # 2: large JPEG files are scaled while they are decoded
_In = TypeVar("_In")
_Out = TypeVar("_Out")


def load_pixels(paths: Sequence[Path], size: int, resample: str) -> NDArray[np.uint8]:
    """Give the pictures as the model sees them, decoding only what no earlier start decoded.

    :return: read-only uint8 [N, size, size, 3], memory-mapped, in the order of `paths`.
    :raises InputRejected: pictures that cannot be read; all are tried, the first five are named.
    """
    if not paths:
        return np.empty((0, size, size, 3), dtype=np.uint8)
    target = cache_folder() / "pixels" / f"{size}-{resample}-{pixels_key(paths, size, resample)}.u8"
    shape = (len(paths), size, size, 3)
    if not target.is_file() or target.stat().st_size != int(np.prod(shape)):
        _decode(paths, size, resample, target)
    return np.memmap(target, dtype=np.uint8, mode="r", shape=shape)


def pixels_key(paths: Sequence[Path], size: int, resample: str) -> str:
    """Name the array of `load_pixels` by what is in it: the pictures' contents, their order, size and filter.

    :raises InputRejected: pictures that cannot be opened.
    """
    key = hashlib.sha256(f"{_FORMAT} {size} {resample}\n".encode())
    for digest in _content_hashes(paths, cache_folder() / "pixels"):
        key.update(digest.encode())
    return key.hexdigest()[:32]


def _content_hashes(paths: Sequence[Path], folder: Path) -> list[str]:
    remembered_in = folder / "content-hashes.json"
    remembered = _read_index(remembered_in)
    names = [os.path.abspath(path) for path in paths]
    stats = [_stat(name) for name in names]
    _reject([f"{name} cannot be opened." for name, stat in zip(names, stats, strict=True) if stat is None], len(names))
    stale = [name for name, stat in zip(names, stats, strict=True) if remembered.get(name, [])[:2] != stat]
    if stale:
        fresh = dict(zip(stale, _in_threads(_hash_file, stale, "hash images"), strict=True))
        for name, stat in zip(names, stats, strict=True):
            if name in fresh:
                remembered[name] = [*(stat or ()), fresh[name]]
        write_text(remembered_in, json.dumps(remembered))
    return [str(remembered[name][2]) for name in names]


def _read_index(path: Path) -> dict[str, list[str | int]]:
    """Read what is remembered; a missing or damaged index is an empty one, and every picture is hashed again."""
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(index, dict):
        return {}
    return {name: entry for name, entry in index.items() if isinstance(entry, list) and len(entry) == 3}


def _stat(name: str) -> list[int | str] | None:
    """Size and modification time, or None for a file that cannot be opened."""
    try:
        with Path(name).open("rb") as stream:
            stat = os.fstat(stream.fileno())
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns]


def _reject(reasons: list[str], total: int) -> None:
    if reasons:
        raise InputRejected(f"{len(reasons)} of {total} images cannot be read: {' '.join(reasons[:5])}")


def _hash_file(name: str) -> str:
    with Path(name).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _decode(paths: Sequence[Path], size: int, resample: str, target: Path) -> None:
    def read(path: Path) -> NDArray[np.uint8] | str:
        try:
            return load_image(path, size, resample)
        except InputRejected as error:
            return str(error)

    rejected: list[str] = []
    # Written as a stream, not through a memory map: a full disk is then an error and not a signal that kills.
    with atomic_path(target) as temporary, temporary.open("wb") as stream:
        for result in _in_threads(read, paths, f"decode images at {size} px"):
            if isinstance(result, str):
                rejected.append(result)
            else:
                stream.write(result.tobytes())
        stream.close()  # Windows cannot rename an open file
        _reject(rejected, len(paths))


def _in_threads(function: Callable[[_In], _Out], items: Sequence[_In], label: str) -> Iterator[_Out]:
    # Pillow and hashlib release the interpreter lock, so threads use every core.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from progress(pool.map(function, items), label, total=len(items))
