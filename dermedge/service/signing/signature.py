"""The signature of a model file, MODEL.sig: a bundle as the OpenSSF's `model-signing` writes and reads it, offline.

The package hashes files by their path. Here it is given the hash of bytes that were read already, so that what is
checked is what the caller holds, whatever lies at the path meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dermedge.require import extras
from dermedge_runtime.errors import DermedgeError, ModelFileError
from dermedge_runtime.files import atomic_path
from dermedge_runtime.files.regular_file import read_regular

from .key_files import PublicKey

if TYPE_CHECKING:
    from model_signing import hashing

_LARGEST = 1 << 20
"""Bytes of a signature; ours have 2,000."""


def require_package() -> None:
    """See that keys and signatures can be read and written, before anybody is asked for a password.

    :raises DermedgeError: a package of the extra `sign` is not installed.
    """
    with extras("sign"):
        import model_signing.signing
        import model_signing.verifying  # noqa: F401


def signature_of(model: Path) -> Path:
    """Give the place of a model's signature."""
    return model.with_name(f"{model.name}.sig")


def write_signature(model: Path, content: bytes, key: Path, password: bytes | None, public: PublicKey) -> Path:
    """Sign a model file, and check the signature before it takes its place; needs the extra `sign`.

    :param content: the model's bytes.
    :param key: file of the private key.
    :param password: of the key; None where it has none.
    :param public: the public half of the key.
    :return: where the signature lies.
    :raises DermedgeError: the key has changed meanwhile.
    :raises OSError: the signature cannot be written.
    """
    from model_signing import signing

    target = signature_of(model)
    settings: dict[str, Any] = {"private_key": key, "password": password}  # as bytes: text is refused further down
    with atomic_path(target, durable=True) as temporary:
        config = signing.Config().use_elliptic_key_signer(**settings).set_hashing_config(_hash_of(model, content))
        config.sign(model, temporary)
        if (reason := _fault(model, content, temporary.read_bytes(), public)) is not None:
            raise DermedgeError(f"{key} changed while {model.name} was signed with it ({reason}). Sign again.")
    return target


def check_signature(model: Path, content: bytes, public: PublicKey) -> None:
    """Check the signature that lies beside a model file; needs the extra `sign`.

    :param content: the model's bytes.
    :param public: of the key that it must have been made with.
    :raises ModelFileError: there is no signature, it is damaged, of another file or made with another key.
    """
    path = signature_of(model)
    signature = read_regular(path, "signature", _LARGEST)
    if (reason := _fault(model, content, signature, public)) is not None:
        raise ModelFileError(f"{model} is not verified: its signature {path.name} {reason}.")


def _fault(model: Path, content: bytes, signature: bytes, public: PublicKey) -> str | None:
    """Say what is wrong with a signature; None: nothing."""
    from model_signing import verifying

    damaged = "is damaged, or no signature. Copy it again"
    try:
        made_with = json.loads(signature)["verificationMaterial"]["publicKey"]["hint"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return damaged
    if made_with != public.fingerprint:
        return f"names another key: {_short(made_with)}, and not {public.fingerprint}"
    # The package reads files alone: it gets copies of what was read here, so that nothing changes in between.
    with tempfile.TemporaryDirectory(prefix="dermedge-") as folder:
        bundle, key = Path(folder, "bundle"), Path(folder, "key")
        bundle.write_bytes(signature)
        key.write_bytes(public.pem)
        try:
            config = verifying.Config().use_elliptic_key_verifier(public_key=key)
            config.set_hashing_config(_hash_of(model, content)).verify(model, bundle)
        except Exception as error:  # whatever it stumbles over in a foreign file: it is not verified
            if str(error).startswith("Signature mismatch"):
                return "is of another file, or the model has changed since it was signed"
            return damaged if isinstance(error, KeyError | TypeError | AttributeError | IndexError) else _invalid(error)
    return None


def _invalid(error: Exception) -> str:
    from cryptography.exceptions import InvalidSignature

    if isinstance(error, InvalidSignature):
        return "was not made with this key, or was changed"
    return "is damaged, or no signature of one model file. Copy it again"


def _short(hint: object) -> str:
    text = str(hint)
    return text if len(text) <= 64 else f"{text[:64]}..."


def _hash_of(model: Path, content: bytes) -> hashing.Config:
    """Make what gives the package the hash of a model that was read already."""
    from model_signing import hashing, manifest

    # The one class that the package's public modules do not name.
    from model_signing._hashing.hashing import Digest

    class Hashed(hashing.Config):
        def hash(self, model_path: hashing.PathLike, *, files_to_hash: object = None) -> manifest.Manifest:
            settings = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
            item = manifest.FileManifestItem(
                path=PurePosixPath("."), digest=Digest("sha256", hashlib.sha256(content).digest())
            )
            return manifest.Manifest(model.name, [item], manifest.SerializationType.from_args(settings))

    return Hashed()  # type: ignore[no-untyped-call]
