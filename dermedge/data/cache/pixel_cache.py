"""Decoded pictures, kept once on disk as one memory-mapped uint8 array per (content, size, filter, detail).

The key is made of the pictures' content hashes. Not covered: evicting old arrays.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermedge.data.files.content_hashes import State, content_hashes, file_state, hash_file
from dermedge.progress import in_threads
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.files import cache_folder
from dermedge_runtime.inputs.image import DETAIL, load_image

from .kept_arrays import kept_or_private_array

_FORMAT = "3"  # 2: large JPEG files are scaled while they are decoded; 3: a checksum


def load_pixels(paths: Sequence[Path], size: int, resample: str, detail: int = DETAIL) -> NDArray[np.uint8]:
    """Give the pictures as the model sees them, decoding only what no earlier start decoded.

    :param detail: as `load_image` takes it.
    :return: read-only uint8 [N, size, size, 3], memory-mapped, in the order of `paths`.
    :raises InputRejected: pictures that cannot be read, or that change meanwhile; all are tried, the first five named.
    :raises DermedgeError: there is no room for the array.
    """
    if not paths:
        return np.empty((0, size, size, 3), dtype=np.uint8)
    states = _states(paths)
    key = _key(paths, states, size, resample, detail)

    def make() -> Iterator[bytes]:
        yield from _decoded(paths, size, resample, detail)
        changed = [name for name, state in states.items() if file_state(name) != state]
        if changed:
            raise InputRejected(
                f"{len(changed)} of {len(paths)} images changed while they were read, such as {changed[0]}."
                " Run it again when they are complete."
            )

    target = cache_folder() / "pixels" / f"{size}-{resample}-{key}.u8"
    return kept_or_private_array(target, key, make, "decoded pictures").reshape(len(paths), size, size, 3)


def pixels_key(paths: Sequence[Path], size: int, resample: str, detail: int = DETAIL) -> str:
    """Name the array of `load_pixels` by what is in it: the pictures' contents, their order, size, filter and detail.

    :raises InputRejected: pictures that cannot be opened.
    """
    return _key(paths, _states(paths), size, resample, detail)


def _states(paths: Sequence[Path]) -> dict[str, State]:
    found = {name: file_state(name) for name in (os.path.abspath(path) for path in paths)}
    _reject([f"{name} cannot be opened." for name, state in found.items() if state is None], len(paths))
    return {name: state for name, state in found.items() if state is not None}


def _key(paths: Sequence[Path], states: dict[str, State], size: int, resample: str, detail: int) -> str:
    index = cache_folder() / "pixels" / "content-hashes.json"
    hashes = content_hashes(states, index, lambda names: in_threads(hash_file, names, "hash images"))
    # The usual detail has no word: what was decoded before there was a choice is found again.
    chosen = "" if detail == DETAIL else f" detail {detail}"
    key = hashlib.sha256(f"{_FORMAT} {size} {resample}{chosen}\n".encode())
    for path in paths:
        key.update(hashes[os.path.abspath(path)].encode())
    return key.hexdigest()[:32]


def _reject(reasons: list[str], total: int) -> None:
    if reasons:
        raise InputRejected(f"{len(reasons)} of {total} images cannot be read: {' '.join(reasons[:5])}")


def _decoded(paths: Sequence[Path], size: int, resample: str, detail: int) -> Iterator[bytes]:
    def read(path: Path) -> NDArray[np.uint8] | str:
        try:
            return load_image(path, size, resample, detail)
        except InputRejected as error:
            return str(error)

    rejected: list[str] = []
    for result in in_threads(read, paths, f"decode images at {size} px"):
        if isinstance(result, str):
            rejected.append(result)
        else:
            yield result.tobytes()
    _reject(rejected, len(paths))
