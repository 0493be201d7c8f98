"""Keys of any kind, made here."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1, "secp256k1": ec.SECP256K1}


def make_key(
    folder: Path, name: str = "key", kind: str = "P-256", password: bytes | None = None, old: bool = False
) -> tuple[Path, Path]:
    """Write NAME.pem, which the owner alone can open, and NAME.pub."""
    if kind == "RSA":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    elif kind == "Ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
    else:
        key = ec.generate_private_key(CURVES[kind]())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    protection = NoEncryption() if password is None else BestAvailableEncryption(password)
    form = PrivateFormat.TraditionalOpenSSL if old else PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(Encoding.PEM, form, protection))
    private.chmod(0o600)
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public
