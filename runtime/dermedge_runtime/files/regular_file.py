"""Read a file whole, if it is a regular one of a sensible size: a pipe must not hang, a device must not fill memory."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from dermedge_runtime.errors import ModelFileError

LARGEST_MODEL = 2**31 - 1
"""Bytes: what protobuf, and so an ONNX file, can hold."""


def read_model_bytes(path: Path) -> bytes:
    """Read a model file.

    :raises ModelFileError: see `read_regular`, and a TensorRT engine.
    """
    if path.suffix.lower() == ".engine":
        raise ModelFileError(f"{path.name} is a TensorRT engine; give the ONNX file that it was built from.")
    return read_regular(path, "model file")


def read_regular(path: Path, what: str, largest: int = LARGEST_MODEL) -> bytes:
    """Read a regular file whole.

    :param what: kind of file, for messages.
    :param largest: bytes that it may have.
    :raises ModelFileError: missing, no regular file, too large, or one that changes while it is read.
    """
    try:
        _require_regular(os.stat(path), path, what, largest)
        # What the name stands for may have changed since: without O_NONBLOCK, opening a pipe waits for its writer.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb", buffering=0) as file:
            state = os.fstat(file.fileno())
            _require_regular(state, path, what, largest)
            content = file.read(state.st_size)
            while content and len(content) < state.st_size and (more := file.read(state.st_size - len(content))):
                content += more
            if len(content) != state.st_size or file.read(1):
                raise ModelFileError(f"The {what} {path} changed while it was read. Wait until it is written.")
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or error
        raise ModelFileError(f"The {what} {path} cannot be read: {reason}.") from error
    except MemoryError as error:
        raise ModelFileError(f"The {what} {path} cannot be read: it is larger than the free memory.") from error
    return content


def _require_regular(state: os.stat_result, path: Path, what: str, largest: int) -> None:
    if stat.S_ISDIR(state.st_mode):
        raise ModelFileError(f"The {what} {path} cannot be read: it is a folder.")
    if not stat.S_ISREG(state.st_mode):
        raise ModelFileError(f"The {what} {path} cannot be read: it is a pipe or a device, no regular file.")
    if state.st_size > largest:
        raise ModelFileError(
            f"The {what} {path} cannot be read: it has {state.st_size:,} bytes, and the limit is {largest:,}."
        )
