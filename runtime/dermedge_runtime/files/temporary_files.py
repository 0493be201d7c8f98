"""Temporary files beside the file that they become: made by one process alone, and removed when nobody owns them.

The name is `.TARGET.<16 hexadecimal digits>.tmp`: six digits stand for this start of this machine, ten are drawn. The
writer holds a lock on it, so that what a killed writer left behind can be told from what is being written. Files with
any other name are never touched.
"""

from __future__ import annotations

import os
import re
import stat
import time
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path

from .file_lock import still_there, try_lock

_LONGEST = 200
"""Bytes of the target's name in the temporary one; file systems take 255 in all."""
_DAY_S = 86_400.0
_BETWEEN = re.compile(r"[0-9a-f]{16}|[0-9]{1,10}")
"""Of the name; ten digits or fewer are a process id, as earlier versions wrote it."""
_scanned: dict[str, tuple[float, float]] = {}
"""By folder: when it was looked through, and how long that took."""


class TemporaryFile:
    """A new empty file beside its target, which no other process has or can take over."""

    def __init__(self, target: Path) -> None:
        """Make it, with the permissions of any new file.

        :raises OSError: it cannot be made; it names the target.
        """
        while True:
            self.path = target.with_name(f".{_shortened(target.name)}.{_this_start()}{os.urandom(5).hex()}.tmp")
            try:
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            except FileExistsError:
                continue
            except OSError as error:
                error.filename = os.fspath(target)
                raise
            # Windows needs no lock: it removes no file that is open. Elsewhere somebody who looks for left-over files
            # may have been quicker than the lock.
            if os.name == "nt" or (
                try_lock(self._descriptor) is not False and still_there(self.path, self._descriptor)
            ):
                return
            os.close(self._descriptor)

    def become(self, target: Path, *, durable: bool) -> None:
        """Take the target's name and place.

        :param durable: only after everything lies on the disk, so that a power cut leaves the old file or the new one.
        """
        if durable:
            os.fsync(self._descriptor)
        if os.name == "nt":  # which renames no open file
            self._close()
        os.replace(self.path, target)
        if durable and os.name != "nt":
            _sync_folder(target.parent)

    def remove(self) -> None:
        """Give it up; what has become the target stays."""
        if os.name == "nt":
            self._close()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def remove_leftovers(target: Path, *, at_once: bool = False) -> None:
    """Remove temporary files of `target` that killed writers left.

    :param at_once: also look through a large folder that was looked through just now.
    """
    folder, began = os.path.abspath(target.parent), time.monotonic()
    last, cost = _scanned.get(folder, (0.0, 0.0))
    if last and began - last < 20 * cost and not at_once:
        return
    _sweep(folder, f".{_shortened(target.name)}.")
    _scanned[folder] = (time.monotonic(), time.monotonic() - began)


def remove_all_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed writers from a folder that is wholly ours, whatever they were to become."""
    _sweep(os.path.abspath(folder), None)


def _sweep(folder: str, start: str | None) -> None:
    try:
        names = [name for name in os.listdir(folder) if name.startswith(start or ".") and name.endswith(".tmp")]
    except OSError:
        return
    for name in names:
        before, _, between = name.removesuffix(".tmp").rpartition(".")
        if _BETWEEN.fullmatch(between) and (start is None or f"{before}." == start):
            _remove_if_nobodys(Path(folder, name), known=len(between) == 16 and between.startswith(_this_start()))


def _remove_if_nobodys(path: Path, *, known: bool) -> None:
    """Remove a file that no process writes.

    :param known: whether it was made on this machine since its start, so that its lock can be trusted; else only its
        age tells.
    """
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with suppress(OSError):
        if os.name == "nt":
            if known or time.time() - path.stat().st_mtime > _DAY_S:
                path.unlink()
            return
        descriptor = os.open(path, flags)
        try:
            found, taken = os.fstat(descriptor), try_lock(descriptor)
            old = time.time() - found.st_mtime > _DAY_S
            if stat.S_ISREG(found.st_mode) and (taken or (taken is None and old)) and (known or old):
                path.unlink()
        finally:
            os.close(descriptor)


def _shortened(name: str) -> str:
    while len(os.fsencode(name)) > _LONGEST:
        name = name[:-1]
    return name


@cache
def _this_start() -> str:
    """Six digits for this start of this machine; its containers share them, as they share its locks."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except (OSError, ValueError):
        import platform

        text = platform.node()
    return f"{zlib.crc32(text.encode()) & 0xFFFFFF:06x}"


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems refuse to
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
