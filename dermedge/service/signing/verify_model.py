"""Whether a model file is what its maker signed, or what its lock file notes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from dermedge_runtime.errors import ModelFileError
from dermedge_runtime.files.regular_file import read_model_bytes

from .key_files import read_public_key
from .lock_file import check_lock_file, lock_file_of
from .signature import check_signature, require_package, signature_of


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked of a model file, and is right."""

    sha256: str
    """Of the bytes that were checked, in hexadecimal. Whoever opens the file must compare it with
    `Classifier.sha256`, so that no other file comes in between."""
    signed_by: str | None
    """Fingerprint of the key that the signature was made with; None: no signature was checked."""
    lock_file: bool
    """Whether there is a lock file, which agrees."""
    unchecked_signature: bool = False
    """Whether there is a signature that was not checked, because no key was given."""


def verify_model(path: Path, key: Path | None = None) -> Verified:
    """Check a model file against what lies beside it.

    :param path: the model file.
    :param key: public key that it must be signed with; None: only its lock file is checked. A signature needs the
        extra `sign`.
    :raises ModelFileError: with a key: no signature made with it. Without: no lock file. In both cases: a lock file
        that does not agree, or a model file that cannot be read.
    :raises UsageError: the key is none that is known here.
    :raises DermedgeError: a package of the extra is not installed.
    """
    content = read_model_bytes(path)
    sha256 = hashlib.sha256(content).hexdigest()
    signature, lock = signature_of(path), lock_file_of(path)
    signed, locked = _is_there(signature), _is_there(lock)
    signed_by = None
    if key is not None:
        if not signed:
            raise ModelFileError(f"{path} is not verified: it has no signature, {signature.name}, beside it.")
        signed_by = _check_signature(path, content, key)
    if locked:
        check_lock_file(path, sha256)
    elif key is None:
        missing = f"it has neither a signature, {signature.name}, nor a lock file, {lock.name}, beside it"
        unchecked = f"its signature, {signature.name}, can only be checked with the maker's public key: --key"
        raise ModelFileError(f"{path} is not verified: {unchecked if signed else missing}.")
    return Verified(sha256, signed_by, locked, unchecked_signature=signed and key is None)


def _check_signature(path: Path, content: bytes, key: Path) -> str:
    require_package()
    public = read_public_key(key)
    check_signature(path, content, public)
    return public.fingerprint


def _is_there(path: Path) -> bool:
    """Tell whether there is anything under a name; a link to nothing counts, and is refused when it is read."""
    return path.exists() or path.is_symlink()
