"""Keys that sign model files and check them: elliptic curves P-256 and P-384, in PEM."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge_runtime.errors import ModelFileError, UsageError
from dermedge_runtime.files.regular_file import read_regular

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

_log = logging.getLogger(__name__)
_CURVES = ("secp256r1", "secp384r1")
_LARGEST = 1 << 16
"""Bytes of a key file."""
HOW_TO_MAKE = (
    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -out key.pem;"
    " openssl pkey -in key.pem -pubout -out key.pub"
)
"""Commands that make a key, protected by a password, and its public half."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What checks signatures."""

    pem: bytes
    """As `openssl pkey -pubout` writes it."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the PEM file in hexadecimal, as `sha256sum key.pub` prints it."""
        return hashlib.sha256(self.pem).hexdigest()


def read_public_key(path: Path) -> PublicKey:
    """Read the public half of a key; needs the extra `sign`.

    :raises UsageError: no file, or no public key of a curve that is known here.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _content(path)
    if b"PRIVATE KEY-----" in content:
        raise UsageError(
            f"{path} is a private key, which checks nothing and should stay where it is. Write its public half with:"
            f" openssl pkey -in {path} -pubout -out key.pub"
        )
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} is no public key in PEM{_what(content)}. Make one: {HOW_TO_MAKE}") from error
    return _of_known_curve(key, path)


def read_private_key(path: Path, password: Callable[[], bytes] | None) -> tuple[PublicKey, bytes | None]:
    """Read a private key; needs the extra `sign`.

    :param password: is called for a protected key, and gives its password; None: there is none.
    :return: its public half, and the password where it has one.
    :raises UsageError: no file, no private key of a curve that is known here, or a wrong password.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _content(path)
    if b"BEGIN PUBLIC KEY-----" in content:
        raise UsageError(f"{path} is a public key, which signs nothing; name the private key that it belongs to.")
    protected = b"BEGIN ENCRYPTED PRIVATE KEY-----" in content or b"Proc-Type: 4,ENCRYPTED" in content
    word = password() if protected and password is not None else None
    try:
        key = load_pem_private_key(content, word)
    except TypeError as error:  # protected, and no password
        raise UsageError(f"{path} is protected by a password; name the file that holds it: --password-file") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        if protected:
            raise UsageError(f"{path} does not open with this password, or it is damaged.") from error
        raise UsageError(f"{path} is no private key in PEM{_what(content)}. Make one: {HOW_TO_MAKE}") from error
    _tell_open_mode(path)
    return _of_known_curve(key.public_key(), path), word


def _of_known_curve(key: object, path: Path) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        kind = type(key).__name__.removesuffix("PublicKey").lstrip("_")
        found = f"of the curve {key.curve.name}" if isinstance(key, EllipticCurvePublicKey) else f"of the kind {kind}"
        raise UsageError(
            f"{path} holds a key {found}; models are signed with the elliptic curve P-256 or P-384. Make one:"
            f" {HOW_TO_MAKE}"
        )
    return PublicKey(_pem(key))


def _pem(key: EllipticCurvePublicKey) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, "key", _LARGEST)
    except ModelFileError as error:
        raise UsageError(str(error)) from error


def _what(content: bytes) -> str:
    """Say what a file is that is no key, as far as its first line tells."""
    first = content.lstrip().partition(b"\n")[0].strip()
    if first.startswith(b"-----BEGIN ") and first.endswith(b"-----") and len(first) < 60:
        return f", but {first[11:-5].decode('ascii', 'replace')}"
    return ""


def _tell_open_mode(path: Path) -> None:
    mode = os.stat(path).st_mode
    if os.name != "nt" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        _log.warning("%s can be opened by others than you (mode %04o). Run: chmod 600 %s", path, mode & 0o777, path)
