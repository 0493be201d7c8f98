"""The hash beside a model, in sha256sum's format."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from service.conftest import Command

from dermedge.service.signing.lock_file import check_lock_file, lock_file_of, write_lock_file
from dermedge.service.signing.verify_model import Verified, verify_model
from dermedge_runtime import model_in_the_box
from dermedge_runtime.errors import ModelFileError


def test_written_and_checked(model: Path, dermedge: Command) -> None:
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    done = dermedge("sign", model, "--lock")
    assert (done.returncode, done.stdout) == (0, f"{model}: SHA-256 {sha256}\n  {model}.sha256: its lock file\n")
    assert lock_file_of(model).read_text() == f"{sha256}  m.onnx\n"
    assert verify_model(model) == Verified(sha256, None, True)
    done = dermedge("verify", model)
    assert (
        done.stdout == f"{model}: SHA-256 {sha256}\n  lock file: agrees; it shows damage, and not who made the model\n"
    )


def test_a_signature_without_a_key_is_told(model: Path, dermedge: Command) -> None:
    dermedge("sign", model, "--lock")
    model.with_name("m.onnx.sig").write_text("anything")
    done = dermedge("verify", model)
    assert done.returncode == 0
    assert "  signature: not checked, because no key was given; name the maker's public key with --key\n" in done.stdout


@pytest.mark.parametrize(
    "name", ["m.onnx", "a b.onnx", "über.onnx", "back\\slash.onnx", "new\nline.onnx", "*star.onnx"]
)
def test_sha256sum_reads_it_and_we_read_its(name: str, tmp_path: Path) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("sha256sum is not installed")
    model = Path(shutil.copy(model_in_the_box("tiny"), tmp_path / name))
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    lock = write_lock_file(model, sha256)
    check = ["sha256sum", "--strict", "-c", lock.name]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    for mode in ((), ("-b",)):
        theirs = subprocess.run(["sha256sum", *mode, name], cwd=tmp_path, capture_output=True, check=True).stdout
        lock.write_bytes(theirs)
        check_lock_file(model, sha256)


def test_what_does_not_agree(model: Path, dermedge: Command) -> None:
    def refused(sentence: str) -> None:
        done = dermedge("verify", model)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (4, "", 1)
        assert sentence in done.stderr

    dermedge("sign", model, "--lock")
    content, lock = model.read_bytes(), lock_file_of(model)
    right = lock.read_text()
    model.write_bytes(content + b" ")
    changed = hashlib.sha256(content + b" ").hexdigest()
    refused(f"is not the file that m.onnx.sha256 was written for: its SHA-256 is {changed}, and {right[:64]} is noted.")
    model.write_bytes(content)
    for wrong in ("", "nonsense\n", right[:40], right.replace("  ", " "), f"{right}x\n"):
        lock.write_text(wrong)
        refused("m.onnx.sha256 is damaged: it takes lines of a SHA-256 and a name")
    lock.write_text(right.replace("m.onnx", "other.onnx"))
    refused("is of another file: it names other.onnx, and not m.onnx.")
    lock.write_text(right.upper().replace("M.ONNX", "models/m.onnx"))
    assert dermedge("verify", model).returncode == 0
    lock.unlink()
    lock.mkdir()
    refused("cannot be read: it is a folder")


def test_a_lock_file_beside_a_signature_must_agree_too(model: Path, tmp_path: Path, dermedge: Command) -> None:
    pytest.importorskip("model_signing", reason="the extra `sign` is not installed")
    from service.signing.keys import make_key

    private, public = make_key(tmp_path)
    assert dermedge("sign", model, "--key", private, "--lock").returncode == 0
    assert verify_model(model, public).lock_file
    lock_file_of(model).write_text(f"{'0' * 64}  m.onnx\n")
    with pytest.raises(ModelFileError, match=r"is not the file that m\.onnx\.sha256 was written for"):
        verify_model(model, public)
