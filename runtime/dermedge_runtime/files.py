"""Write files that are either whole or absent, on every operating system; find the user's cache folder."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import UsageError


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target`; on success it is renamed to `target`, on any error it is removed.

    The temporary name ends in .tmp, so that nobody who looks for models or pictures finds it.

    :raises OSError: the target cannot be written; it names the target.
    """
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        if error.errno is not None and error.filename in (str(temporary), temporary, None):
            error.filename = str(target)
        raise
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def refuse_overwriting(output: Path, inputs: Iterable[str | os.PathLike[str]]) -> None:
    """See that a file to be written is none of the files that are read, by whatever name or link it goes.

    :raises UsageError: it is one of them.
    """
    try:
        found = output.stat()
    except (OSError, ValueError):
        return  # what does not exist cannot be lost
    for source in inputs:
        try:
            same = os.path.samestat(found, os.stat(source))
        except (OSError, ValueError):
            continue  # whoever reads it says so
        if same:
            raise UsageError(f"{output} is also an input; name another file.")


def write_text(target: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(target: Path, record: Any) -> None:
    """Write indented JSON atomically; NaN is refused, because it is no JSON."""
    write_text(target, json.dumps(record, indent=2, allow_nan=False) + "\n")


def cache_folder() -> Path:
    """The user's cache folder for dermedge; the environment variable DERMEDGE_CACHE overrides it."""
    override = os.environ.get("DERMEDGE_CACHE")
    if override:
        return Path(override)
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "dermedge"
