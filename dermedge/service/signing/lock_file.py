"""The hash of a model file in a file beside it, MODEL.sha256, which `sha256sum -c` reads too.

It finds damage. Whoever may write the model may write the lock file too, so it does not say who made either: that is
what a signature says.
"""

from __future__ import annotations

import re
from pathlib import Path

from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import ModelFileError
from dermedge_runtime.files import atomic_path
from dermedge_runtime.files.regular_file import read_regular

_LARGEST = 1 << 16
"""Bytes of a lock file."""
_LINE = re.compile(rb"(\\?)([0-9a-fA-F]{64}) [ *](.+)")
_ESCAPES = {b"\\": b"\\\\", b"\n": b"\\n", b"\r": b"\\r"}


def lock_file_of(model: Path) -> Path:
    """Give the place of a model's lock file."""
    return model.with_name(f"{model.name}.sha256")


def write_lock_file(model: Path, sha256: str) -> Path:
    """Write the lock file of a model.

    :param sha256: of the model's bytes, in hexadecimal.
    :return: where it lies.
    :raises OSError: it cannot be written.
    """
    target, name = lock_file_of(model), _escaped(model.name)
    with atomic_path(target, durable=True) as temporary:
        temporary.write_bytes((b"\\" if b"\\" in name else b"") + sha256.encode() + b"  " + name + b"\n")
    return target


def check_lock_file(model: Path, sha256: str) -> None:
    """Compare a model with its lock file.

    :param sha256: of the model's bytes, in hexadecimal.
    :raises ModelFileError: it is another hash, a lock file of another model, or none at all.
    """
    lock = lock_file_of(model)
    noted = [_LINE.fullmatch(line) for line in read_regular(lock, "lock file", _LARGEST).splitlines() if line.strip()]
    if not noted or None in noted:
        raise ModelFileError(
            f"The lock file {lock} is damaged: it takes lines of a SHA-256 and a name, as sha256sum writes them. Write"
            f" it again: dermedge sign --lock {model}"
        )
    hashes = {_name(match): match[2].decode().lower() for match in noted if match is not None}
    name = _bytes(model.name)
    if name not in hashes:
        others = shown(next(iter(hashes)).decode("utf-8", "backslashreplace"))
        raise ModelFileError(f"The lock file {lock} is of another file: it names {others}, and not {model.name}.")
    if hashes[name] != sha256:
        raise ModelFileError(
            f"{model} is not the file that {lock.name} was written for: its SHA-256 is {sha256}, and {hashes[name]} is"
            " noted. Copy the model again."
        )


def _name(match: re.Match[bytes]) -> bytes:
    """Give the last part of the path in a line, as it is on the disk."""
    name = match[3]
    if match[1]:
        plain = {escape: character for character, escape in _ESCAPES.items()}
        name = re.sub(rb"\\[\\nr]", lambda escape: plain[escape[0]], name)
    return name.rpartition(b"/")[2]


def _escaped(name: str) -> bytes:
    return re.sub(rb"[\\\n\r]", lambda character: _ESCAPES[character[0]], _bytes(name))


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
