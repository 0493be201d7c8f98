"""Locks on open files, which end with the process that holds them, however it ends.

Processes on one machine see each other's locks, in containers too, and most network file systems carry them further.
Nothing may depend on a lock to be right: two processes that see no lock of each other only do work twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_POLL_S = 0.2


def try_lock(descriptor: int) -> bool | None:
    """Take the lock of an open file without waiting.

    :return: True where it was taken, False where somebody else holds it, None where the file system has no locks.
    """
    try:
        import fcntl
    except ImportError:
        return _try_windows_lock(descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return None
    return True


def _try_windows_lock(descriptor: int) -> bool | None:
    try:
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined, unused-ignore]
    except ImportError:
        return None
    except OSError:
        return False
    return True


def still_there(path: Path, descriptor: int) -> bool:
    """Say whether a path is still the file that was opened under it."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


@contextmanager
def one_at_a_time(path: Path, waits: Callable[[float], bool]) -> Iterator[bool]:
    """Hold the lock file `path` while the body runs; the file is removed at the end.

    :param waits: is asked again and again with the seconds waited so far; False gives up waiting.
    :return: whether the lock is held; without it somebody else may do the same at the same time.
    """
    began, descriptor = time.monotonic(), _locked(path)
    while descriptor is None and waits(time.monotonic() - began):
        time.sleep(_POLL_S)
        descriptor = _locked(path)
    held = descriptor is not None and descriptor >= 0
    try:
        yield held
    finally:
        if held and descriptor is not None:
            if os.name == "nt":  # which removes no open file
                os.close(descriptor)
            with suppress(OSError):
                path.unlink(missing_ok=True)
            if os.name != "nt":
                os.close(descriptor)


def _locked(path: Path) -> int | None:
    """Give the descriptor of the locked file, None where somebody else holds it, -1 where there can be no lock."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        return -1
    taken = try_lock(descriptor)
    if taken and still_there(path, descriptor):
        return descriptor
    os.close(descriptor)
    # Taken, but removed meanwhile by the one who held it before: to be tried again, as if it were held.
    return -1 if taken is None else None
