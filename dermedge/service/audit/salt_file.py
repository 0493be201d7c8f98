"""The secret that a log's picture hashes are made with, beside the log and for its owner's eyes alone.

Without it nobody can take a picture and look up whether the service has seen it. With it the owner can.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import stat
from pathlib import Path

from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files import atomic_path

_log = logging.getLogger(__name__)
_BYTES = 32


def salt_file_of(log: Path) -> Path:
    """Give the place of a log's salt."""
    return log.with_name(f"{log.name}.salt")


def make_salt(log: Path) -> bytes:
    """Give the salt of a log that has no line yet; it is made where there is none.

    :raises DermedgeError: what lies in its place is no salt.
    :raises OSError: it cannot be written.
    """
    path = salt_file_of(log)
    if not path.exists():
        with atomic_path(path, durable=True) as temporary:
            temporary.chmod(0o600)  # before there is anything in it
            temporary.write_text(f"{secrets.token_hex(_BYTES)}\n", encoding="ascii")
    return read_salt(log)


def read_salt(log: Path) -> bytes:
    """Give the salt of a log, 32 bytes.

    :raises DermedgeError: it is gone, or no salt.
    """
    path = salt_file_of(log)
    try:
        salt = bytes.fromhex(path.read_text(encoding="ascii").strip())
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise DermedgeError(
            f"The salt {path} of the audit log is gone, so its picture hashes could not be gone on with. Put it back,"
            " or begin a log under another name."
        ) from error
    except ValueError:
        salt, mode = b"", 0
    if len(salt) != _BYTES:
        raise DermedgeError(f"The salt {path} is damaged: it takes {2 * _BYTES} hexadecimal digits. Put it back.")
    if os.name != "nt" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning(
            "%s can be opened by others than its owner (mode %04o). Run: chmod 600 %s", path, mode & 0o777, path
        )
    return salt


def salt_fingerprint(salt: bytes) -> str:
    """Give what a log's first line says of its salt: the SHA-256 of 32 random bytes, which gives nothing away."""
    return hashlib.sha256(salt).hexdigest()


def salted(salt: bytes, picture_sha256: str) -> str:
    """Give what stands in the log for a picture: HMAC-SHA256 of its SHA-256, in hexadecimal.

    :param picture_sha256: of the picture's file, in hexadecimal.
    """
    return hmac.digest(salt, bytes.fromhex(picture_sha256), "sha256").hex()
