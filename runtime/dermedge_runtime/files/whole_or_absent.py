"""Write files that are either whole or absent, on every operating system, and never over what is read."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dermedge_runtime.errors import DermedgeError, UsageError

from .temporary_files import TemporaryFile, remove_leftovers


@contextmanager
def atomic_path(target: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give a temporary file beside `target`; on success it is renamed to `target`, on any error it is removed.

    No other process is given the same one, and what killed writers of this target left is removed first. Its name ends
    in .tmp, so that nobody who looks for models or pictures finds it. What is no regular file, such as /dev/stdout or
    a pipe, is written into and not replaced.

    :param durable: see that the content lies on the disk before the name changes, so that a power cut loses nothing.
    :raises OSError: the target cannot be written; it names the target.
    """
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    temporary: TemporaryFile | None = None
    try:
        if _is_stream(target):
            with _written_into(target) as path:
                yield path
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target)
        temporary = TemporaryFile(target)
        yield temporary.path
        temporary.become(target, durable=durable)
    except OSError as error:
        ours = None if temporary is None else os.fspath(temporary.path)
        if error.errno is not None and (error.filename is None or str(error.filename) == ours):
            error.filename = str(target)
        raise
    finally:
        if temporary is not None:
            temporary.remove()


def _is_stream(target: Path) -> bool:
    """Say whether there is a device or pipe, or a name for a file that is open already."""
    try:
        mode = target.stat().st_mode
    except (OSError, ValueError):
        return False
    return not stat.S_ISREG(mode) or os.path.abspath(target).startswith(("/dev/std", "/dev/fd/", "/proc/"))


@contextmanager
def _written_into(target: Path) -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="dermedge-") as folder:
        path = Path(folder, "output")
        path.touch()
        yield path
        descriptor = os.open(target, os.O_WRONLY | os.O_APPEND)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(path.read_bytes())


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


def require_folder_place(folder: Path, contents: str) -> None:
    """See, before long work, that a folder can be where its files are to go.

    :param contents: what is to go there, such as "the run".
    :raises DermedgeError: it, or a folder that it is to lie in, is a file.
    """
    for place in (folder, *folder.absolute().parents):
        if place.exists() and not place.is_dir():
            raise DermedgeError(f"{place} is a file, so that {contents} cannot go to {folder}. Name another folder.")


def write_text(target: Path, text: str, *, durable: bool = False) -> None:
    """Write UTF-8 text as `atomic_path` does."""
    with atomic_path(target, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_json(target: Path, record: Any, *, durable: bool = False) -> None:
    """Write indented JSON as `atomic_path` does; NaN is refused, because it is no JSON."""
    write_text(target, json.dumps(record, indent=2, allow_nan=False) + "\n", durable=durable)
