"""Signed models: whose key it was, and every way in which a signature can be wrong."""

import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from service.conftest import Command

from dermedge.service.signing.signature import signature_of
from dermedge.service.signing.verify_model import verify_model
from dermedge_runtime import Classifier, model_in_the_box
from dermedge_runtime.errors import ModelFileError, UsageError

pytest.importorskip("model_signing", reason="the extra `sign` is not installed")
from service.signing.keys import make_key


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("kind", ["P-256", "P-384"])
def test_signed_and_verified(kind: str, model: Path, tmp_path: Path, dermedge: Command) -> None:
    private, public = make_key(tmp_path, kind=kind)
    done = dermedge("sign", model, "--key", private)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{model}: SHA-256 {_sha256(model)}\n  {model}.sig: signed by {_sha256(public)}\n"
    done = dermedge("verify", model, "--key", public)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"{model}: SHA-256 {_sha256(model)}\n  signature: verified, made with the key {_sha256(public)}\n"
    )
    record = json.loads(dermedge("verify", model, "--key", public, "--json").stdout)
    assert record == {
        "model": str(model), "sha256": _sha256(model), "signed_by": _sha256(public), "lock_file": False,
        "unchecked_signature": False,
    }  # fmt: skip


def test_what_is_verified_is_what_a_classifier_opens(model: Path, tmp_path: Path, dermedge: Command) -> None:
    private, public = make_key(tmp_path)
    dermedge("sign", model, "--key", private)
    found = verify_model(model, public)
    assert found.sha256 == Classifier(model, "cpu").sha256 == _sha256(model)
    shutil.copy(model_in_the_box(), model)  # between the check and the opening
    assert found.sha256 != Classifier(model, "cpu").sha256


def test_the_bytes_are_read_once(
    model: Path, tmp_path: Path, dermedge: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = make_key(tmp_path)
    dermedge("sign", model, "--key", private)
    from dermedge.service.signing import verify_model as module

    read = module.read_model_bytes

    def then_swapped(path: Path) -> bytes:
        content = read(path)
        path.write_bytes(b"another")
        return content

    monkeypatch.setattr(module, "read_model_bytes", then_swapped)
    assert verify_model(model, public).sha256 == _sha256(model_in_the_box("tiny")) != _sha256(model)


def test_the_makers_own_program_reads_it_and_the_other_way_round(
    model: Path, tmp_path: Path, dermedge: Command
) -> None:
    private, public = make_key(tmp_path)
    dermedge("sign", model, "--key", private)
    tool = [sys.executable, "-m", "model_signing"]
    signature = ["--signature", f"{model}.sig"]
    arguments = ["verify", "key", *signature, "--public_key", public, model]
    done = subprocess.run([*tool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "succeeded" in done.stdout, done
    signature_of(model).unlink()
    subprocess.run([*tool, "sign", "key", *signature, "--private_key", private, model], check=True, capture_output=True)
    assert verify_model(model, public).signed_by == _sha256(public)


def test_a_fingerprint_is_the_hash_of_the_file_that_openssl_writes(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    from dermedge.service.signing.key_files import HOW_TO_MAKE, read_private_key, read_public_key

    make, publish = HOW_TO_MAKE.split("; ")
    for command in (f"{make} -pass pass:secret", f"{publish} -passin pass:secret"):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    private, public = tmp_path / "key.pem", tmp_path / "key.pub"
    assert read_public_key(public).fingerprint == _sha256(public)
    assert read_private_key(private, lambda: b"secret")[0] == read_public_key(public)


@pytest.mark.parametrize("old", [False, True], ids=["PKCS8", "openssl's old form"])
def test_a_protected_key(old: bool, model: Path, tmp_path: Path, dermedge: Command) -> None:
    private, public = make_key(tmp_path, password=b"secret", old=old)
    done = dermedge("sign", model, "--key", private)
    assert done.returncode == 2 and "there is no terminal to ask at; name the file that holds it" in done.stderr
    (tmp_path / "word").write_bytes(b"wrong\n")
    done = dermedge("sign", model, "--key", private, "--password-file", tmp_path / "word")
    assert (done.returncode, done.stderr) == (
        2, f"dermedge: {private} does not open with this password, or it is damaged.\n"
    )  # fmt: skip
    (tmp_path / "word").write_bytes(b"\n")
    assert "is empty" in dermedge("sign", model, "--key", private, "--password-file", tmp_path / "word").stderr
    assert not signature_of(model).exists()
    (tmp_path / "word").write_bytes(b"secret\r\nnot this")
    done = dermedge("sign", model, "--key", private, "--password-file", tmp_path / "word")
    assert (done.returncode, done.stderr) == (0, "")
    assert verify_model(model, public).signed_by == _sha256(public)
    plain, _ = make_key(tmp_path, "plain")
    done = dermedge("sign", model, "--key", plain, "--password-file", tmp_path / "word")
    assert done.returncode == 2 and "is not protected by a password; leave --password-file out" in done.stderr


def test_the_password_is_asked_for_at_a_terminal(
    model: Path, tmp_path: Path, dermedge: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, _ = make_key(tmp_path, password=b"secret")
    asked = []
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("getpass.getpass", lambda question: asked.append(question) or "secret")
    assert dermedge("sign", model, "--key", private).returncode == 0
    assert asked == [f"Password of {private}: "]


def test_every_wrong_key_is_one_sentence(model: Path, tmp_path: Path, dermedge: Command) -> None:
    right, public = make_key(tmp_path)
    dermedge("sign", model, "--key", right)
    made = {kind: make_key(tmp_path, kind, kind) for kind in ("RSA", "Ed25519", "P-521", "secp256k1")}
    for kind, found in {
        "RSA": "of the kind RSA", "Ed25519": "of the kind Ed25519", "P-521": "of the curve secp521r1",
        "secp256k1": "of the curve secp256k1",
    }.items():  # fmt: skip
        for command, key in zip(("sign", "verify"), made[kind], strict=True):
            done = dermedge(command, model, "--key", key)
            assert (done.returncode, done.stderr.count("\n")) == (2, 1)
            assert (
                f"{key} holds a key {found}; models are signed with the elliptic curve P-256 or P-384." in done.stderr
            )
    (tmp_path / "text").write_text("no key\n")
    (tmp_path / "certificate").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (tmp_path / "cut").write_bytes(right.read_bytes()[:80])
    (tmp_path / "large").write_bytes(bytes(100_000))
    for command, kind, other, told in (
        ("sign", "private", public, "is a public key, which signs nothing"),
        ("verify", "public", right, "is a private key, which checks nothing"),
    ):
        for key, sentence in (
            (other, f"{other} {told}"),
            (tmp_path / "text", f"text is no {kind} key in PEM. Make one: openssl genpkey"),
            (tmp_path / "certificate", f"certificate is no {kind} key in PEM, but CERTIFICATE. Make one"),
            (tmp_path / "none", "none cannot be read: No such file or directory."),
            (tmp_path / "large", "large cannot be read: it has 100,000 bytes"),
            (tmp_path, "cannot be read: it is a folder"),
        ):
            done = dermedge(command, model, "--key", key)
            assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done
            assert sentence in done.stderr
    assert "is no private key in PEM, but EC PRIVATE KEY" not in dermedge("sign", model, "--key", right).stderr
    assert dermedge("sign", model, "--key", tmp_path / "cut").returncode == 2


def test_an_open_key_is_told(model: Path, tmp_path: Path, dermedge: Command) -> None:
    private, _ = make_key(tmp_path)
    private.chmod(0o644)
    done = dermedge("sign", model, "--key", private)
    assert done.returncode == 0
    assert f"{private} can be opened by others than you (mode 0644). Run: chmod 600 {private}" in done.stderr


def test_what_is_not_verified(model: Path, tmp_path: Path, dermedge: Command) -> None:
    private, public = make_key(tmp_path)
    _, other = make_key(tmp_path, "other")
    signature = signature_of(model)

    def refused(sentence: str, key: Path | None = public) -> None:
        done = dermedge("verify", model, *(["--key", key] if key else []))
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1), done
        assert done.stderr == f"dermedge: {model} is not verified: {sentence}.\n"

    refused("it has no signature, m.onnx.sig, beside it")
    refused("it has neither a signature, m.onnx.sig, nor a lock file, m.onnx.sha256, beside it", None)
    dermedge("sign", model, "--key", private)
    refused("its signature, m.onnx.sig, can only be checked with the maker's public key: --key", None)
    refused(f"its signature m.onnx.sig names another key: {_sha256(public)}, and not {_sha256(other)}", other)
    right, content = signature.read_bytes(), model.read_bytes()
    model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused("its signature m.onnx.sig is of another file, or the model has changed since it was signed")
    shutil.copy(model_in_the_box(), model)
    refused("its signature m.onnx.sig is of another file, or the model has changed since it was signed")
    model.write_bytes(content)
    for wrong in (b"", b"{}", b"[1]", b"nonsense", b"\xff\xfe", right[:-200], b"[" * 100_000, b'{"a": 1}'):
        signature.write_bytes(wrong)
        refused("its signature m.onnx.sig is damaged, or no signature. Copy it again")
    forged = json.loads(right)
    forged["verificationMaterial"]["publicKey"]["hint"] = _sha256(other)  # claims to be of the other key
    signature.write_text(json.dumps(forged))
    refused("its signature m.onnx.sig was not made with this key, or was changed", other)
    signature.unlink()
    signature.symlink_to(tmp_path / "nowhere")
    done = dermedge("verify", model, "--key", public)
    assert done.returncode == 4 and "m.onnx.sig cannot be read" in done.stderr
    signature.unlink()
    signature.write_bytes(right)
    assert dermedge("verify", model, "--key", public).returncode == 0


def test_a_flipped_bit_never_verifies_another_model_nor_ends_in_a_traceback(
    model: Path, tmp_path: Path, dermedge: Command
) -> None:
    private, public = make_key(tmp_path)
    dermedge("sign", model, "--key", private)
    signature, draw = signature_of(model), random.Random(0)
    right = signature.read_bytes()
    shutil.copy(model_in_the_box(), model)
    for _ in range(60):
        changed = bytearray(right)
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        signature.write_bytes(changed)
        with pytest.raises(ModelFileError):
            verify_model(model, public)


def test_a_payload_of_someone_else_is_refused(model: Path, tmp_path: Path, dermedge: Command) -> None:
    """The hash inside is exchanged for that of another model: the signature does not fit any more."""
    import base64

    private, public = make_key(tmp_path)
    dermedge("sign", model, "--key", private)
    shutil.copy(model_in_the_box(), model)
    bundle = json.loads(signature_of(model).read_text())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).decode()
    payload = re.sub(_sha256(model_in_the_box("tiny")), _sha256(model), payload)
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload.encode()).decode()
    signature_of(model).write_text(json.dumps(bundle))
    with pytest.raises(ModelFileError, match="was not made with this key, or was changed"):
        verify_model(model, public)


def test_what_cannot_be_signed(model: Path, tmp_path: Path, dermedge: Command) -> None:
    private, _ = make_key(tmp_path)
    model.write_bytes(model.read_bytes()[:-3])
    done = dermedge("sign", model, "--key", private)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    done = dermedge("sign", model)
    assert done.returncode == 2 and "Say how: --key KEY signs the model" in done.stderr
    done = dermedge("sign", model, "--lock", "--password-file", private)
    assert done.returncode == 2 and "--password-file belongs to --key" in done.stderr
    assert not list(tmp_path.glob("*.sig")) + list(tmp_path.glob("*.tmp"))
    key = private.rename(signature_of(model))
    done = dermedge("sign", shutil.copy(model_in_the_box("tiny"), model), "--key", key)
    assert done.returncode == 2 and "m.onnx.sig is also an input" in done.stderr
    with pytest.raises(UsageError):
        verify_model(model, private)


def test_a_key_that_is_exchanged_meanwhile_leaves_no_signature(
    model: Path, tmp_path: Path, dermedge: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, _ = make_key(tmp_path)
    _, other = make_key(tmp_path, "other")
    from dermedge.service.signing import sign_command
    from dermedge.service.signing.key_files import read_public_key

    monkeypatch.setattr(sign_command, "read_private_key", lambda *_: (read_public_key(other), None))
    done = dermedge("sign", model, "--key", private)
    assert done.returncode == 1 and "changed while m.onnx was signed with it" in done.stderr
    assert not signature_of(model).exists()
