"""The password of a key: from a file, or from whoever sits at the terminal; never from the command line."""

from __future__ import annotations

import sys
from pathlib import Path

from dermedge_runtime.errors import ModelFileError, UsageError
from dermedge_runtime.files.regular_file import read_regular

_LARGEST = 4096
"""Bytes."""


def read_password(file: Path | None, key: Path) -> bytes:
    """Give the password of a key.

    :param file: its first line is the password; None: ask.
    :raises UsageError: the file cannot be read, or there is nobody to ask.
    """
    if file is not None:
        try:
            word = read_regular(file, "password file", _LARGEST).partition(b"\n")[0].removesuffix(b"\r")
        except ModelFileError as error:
            raise UsageError(str(error)) from error
    elif sys.stdin is not None and sys.stdin.isatty():
        import getpass

        word = getpass.getpass(f"Password of {key}: ").encode()
    else:
        raise UsageError(
            f"{key} is protected by a password, and there is no terminal to ask at; name the file that holds it:"
            " --password-file"
        )
    if not word:
        raise UsageError(f"The password of {key} is empty; a protected key has one.")
    return word
