"""Compiled kernels, kept between starts in the user's cache folder: one folder per model, provider, driver and card.

The provider writes the files; a record beside the folder holds their sizes and checksums, so that a damaged or
half-written one is noticed, said and built again. Not covered: removing what is no longer used; the whole folder
`kernels` may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dermedge_runtime.errors import DeviceUnavailable
from dermedge_runtime.files import cache_folder, write_json
from dermedge_runtime.files.file_lock import one_at_a_time

_log = logging.getLogger(__name__)
_LONGEST_WAIT_S = 600.0
"""TensorRT may compile for minutes."""


def kernel_folder() -> Path:
    """The folder that holds the compiled kernels of all models."""
    return cache_folder() / "kernels"


def why_not_writable(folder: Path) -> str | None:
    """Try to write a file in a folder, which is made where it is absent; give the reason why not, or None."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


class KernelCache:
    """The kernels of one model on one card."""

    def __init__(self, folder: Path, made_for: Mapping[str, str]) -> None:
        """Take a folder that exists.

        :param made_for: what the kernels are good for, written into the record for people.
        """
        self.folder = folder
        self._made_for = dict(made_for)
        self._record = folder.with_name(f"{folder.name}.json")
        self.lock = folder.with_name(f".{folder.name}.lock")

    @property
    def filled(self) -> bool:
        """Whether there are kernels."""
        return any(self.folder.iterdir())

    @property
    def whole(self) -> bool:
        """Whether there are kernels, and a process that made them has recorded them."""
        return self.filled and self._record.is_file()

    def damage(self) -> str | None:
        """Compare the files with their record; give the name of the first that differs, or None."""
        try:
            recorded = json.loads(self._record.read_text(encoding="utf-8"))["files"]
            return next((name for name, entry in recorded.items() if self._entry(name) != entry), None)
        except FileNotFoundError:
            return None  # a first start that was stopped before its record: the provider checks its own format
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return self._record.name

    def clear(self) -> None:
        """Remove all kernels and their record; a file that another process holds open stays."""
        with suppress(OSError):
            self._record.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)

    def seal(self) -> None:
        """Record the files as they are now."""
        try:
            names = sorted(
                path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()
            )
            write_json(self._record, {"made_for": self._made_for, "files": {name: self._entry(name) for name in names}})
        except OSError as error:
            _log.warning("the record of the compiled kernels in %s cannot be written: %s", self.folder, error.strerror)

    def _entry(self, name: str) -> list[int] | None:
        try:
            content = (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        return [len(content), zlib.crc32(content)]


def open_cache(device: str, content: bytes, source: str, made_for: Mapping[str, str]) -> KernelCache | None:
    """Find or make the folder of a model's kernels, and say on the log what its state means for this start.

    :param content: the model file.
    :param source: name of the file, for messages.
    :param made_for: versions, driver and card: whatever changes them needs kernels of its own.
    :return: None where the folder cannot be written; the device runs without it.
    """
    key = {"model": hashlib.sha256(content).hexdigest(), **made_for}
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    folder = kernel_folder() / f"{device}-{digest[:20]}"
    if reason := why_not_writable(folder):
        _log.warning(
            "%s cannot be written (%s), so %s compiles its kernels at every start; DERMEDGE_CACHE names another folder",
            folder,
            reason,
            device,
        )
        return None
    cache = KernelCache(folder, {"source": source, **key})
    if damaged := cache.damage():
        _log.warning("the compiled kernels in %s are damaged (%s); they are built again", folder, damaged)
        cache.clear()
    elif not cache.filled:
        _log.info(
            "%s compiles %s for this machine, once; later starts take the kernels from %s", device, source, folder
        )
    return cache


def start_with(cache: KernelCache | None, start: Callable[[KernelCache | None], Any]) -> Any:
    """Start a session with kept kernels; where they may be what stops it, empty the cache and start once more.

    :param start: opens a session with a cache, or without one.
    :raises DeviceUnavailable: it starts neither way.
    """
    if cache is None:
        return start(None)
    if cache.whole:
        return _start(cache, start)
    with one_at_a_time(cache.lock, _patience(cache.folder)):
        session = _start(cache, start)
        cache.seal()
        return session


def _patience(folder: Path) -> Callable[[float], bool]:
    """Wait for another process that compiles the same kernels, and say so; where it takes too long, compile as well."""
    said: list[float] = []

    def waits(waited: float) -> bool:
        if not said:
            _log.info("another process compiles the kernels in %s; this one waits for it", folder)
        said.append(waited)
        return waited < _LONGEST_WAIT_S

    return waits


def _start(cache: KernelCache, start: Callable[[KernelCache | None], Any]) -> Any:
    was_filled = cache.filled
    try:
        return start(cache)
    except DeviceUnavailable as error:
        cache.clear()
        session = start(cache if was_filled else None)
        _log.warning(
            "the compiled kernels in %s stopped the start (%s); they were removed and are built again",
            cache.folder,
            error.cause,
        )
        return session
