"""One process at a time writes a results file, and the next one is told which one that is."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files.file_lock import still_there, try_lock
from dermedge_runtime.prediction import now


@contextmanager
def only_writer(target: Path) -> Iterator[None]:
    """Hold `target`.lock while the body runs; it ends with the process that holds it, however that ends.

    :raises DermedgeError: another process writes the target; names it.
    :raises OSError: the lock file cannot be made.
    """
    path = target.with_name(f"{target.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _locked(path, target)
    try:
        owner = {"process": os.getpid(), "host": platform.node(), "since": now()}
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(owner).encode())
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _locked(path: Path, target: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        if try_lock(descriptor) is False:
            owner = _owner(path)
            os.close(descriptor)
            raise DermedgeError(
                f"{shown(str(target))} is being written by {owner}. Wait for it, stop it, or name another file."
            )
        if still_there(path, descriptor):
            return descriptor
        os.close(descriptor)  # its last holder has removed it meanwhile


def _owner(path: Path) -> str:
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return f"process {owner['process']} on {owner['host']}, since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
