"""The JSON beside an engine: written whole, read strictly, compared with its surroundings. No TensorRT is needed."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from make_tiny_model import TINY

from dermedge_export.engine.engine_file import write_engine_file
from dermedge_runtime.errors import ModelFileError
from dermedge_runtime.model import engine_description
from dermedge_runtime.model.digest import seal_text
from dermedge_runtime.model.engine_description import EngineRecord, Tensor, inspect_engine, record_path, sha256
from dermedge_runtime.model.model_file import read_model_file

CONTENT = b"an opaque engine"


def _record() -> EngineRecord:
    file = read_model_file(TINY)
    return EngineRecord(
        engine_sha256=sha256(CONTENT),
        onnx_file="m.onnx",
        onnx_sha256=sha256(file.content),
        library="tensorrt_rtx",
        version="1.2.3",
        compute_capabilities=("8.6", "12.0"),
        max_batch=16,
        tensors=(Tensor("image", "input", "uint8", ("batch", 8, 8, 3)),),
        layers={"convolution": 2, "cast": 1},
        spec=file.spec,
    )


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An engine with everything beside it, and the version that built it installed."""
    monkeypatch.setattr(engine_description, "_installed", lambda library: "1.2.3")
    (tmp_path / "m.onnx").write_bytes(TINY.read_bytes())
    write_engine_file(tmp_path / "m.engine", CONTENT, _record())
    return tmp_path / "m.engine"


def test_json_gives_the_record_back() -> None:
    record = _record()
    assert EngineRecord.from_json(json.dumps(record.to_record()), "m.engine.json") == record


def test_inspection_of_a_sound_engine(written: Path) -> None:
    record, findings = inspect_engine(written)
    assert findings == []
    assert (record["bytes"], record["sha256"]) == (len(CONTENT), sha256(CONTENT))
    assert record["onnx"]["beside"] == "same"
    assert record["tensorrt"] == {"library": "tensorrt_rtx", "version": "1.2.3", "installed": "1.2.3"}
    assert record["batch"] == {"min": 1, "optimal": 1, "max": 16}
    assert record["layers"] == {"total": 3, "by_type": {"convolution": 2, "cast": 1}}
    assert record["spec"]["classes"] == list(read_model_file(TINY).spec.classes)


@pytest.mark.parametrize("change", ["changed", "absent"])
def test_another_onnx_is_found(written: Path, change: str) -> None:
    onnx = written.with_name("m.onnx")
    onnx.unlink() if change == "absent" else onnx.write_bytes(b"newer")
    record, findings = inspect_engine(written)
    assert record["onnx"]["beside"] == change
    assert len(findings) == 1
    assert findings[0].startswith("m.onnx ")
    assert "dermedge export --engine" in findings[0]


def test_another_version_is_found(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_description, "_installed", lambda library: "1.3.0")
    record, findings = inspect_engine(written)
    assert record["tensorrt"]["installed"] == "1.3.0"
    assert len(findings) == 1
    assert "built with tensorrt_rtx 1.2.3, installed is 1.3.0" in findings[0]


def test_no_installed_version_is_no_finding(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_description, "_installed", lambda library: None)
    record, findings = inspect_engine(written)
    assert (record["tensorrt"]["installed"], findings) == (None, [])


def test_installed_version_is_read_without_import() -> None:
    assert engine_description._installed("pytest") == pytest.__version__
    assert engine_description._installed("no_such_library") is None


@pytest.mark.parametrize("absent", ["m.engine", "m.engine.json"])
def test_missing_file(written: Path, absent: str) -> None:
    written.with_name(absent).unlink()
    with pytest.raises(ModelFileError, match=f"{absent} cannot be read: No such file"):
        inspect_engine(written)


def test_another_engine_than_described(written: Path) -> None:
    written.write_bytes(CONTENT[:-1])
    with pytest.raises(ModelFileError, match=r"m\.engine is damaged, or not the one that m\.engine\.json describes"):
        inspect_engine(written)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("format", 2, "format 2, this dermedge reads 1"),
        ("sha256", None, "missing 'sha256'"),
        ("tensors", [{"name": "image"}], "missing 'side'"),
        ("tensors", 5, "not iterable"),
        ("layers", {"by_type": {"cast": "many"}}, "many"),
        ("batch", {"max": 1e999}, "infinity"),
        ("onnx", {"file": "../m.onnx", "sha256": ""}, "no file name"),
        ("onnx", {"file": "", "sha256": ""}, "no file name"),
        ("spec", {}, "schema version None"),
    ],
)
def test_damaged_description(written: Path, key: str, value: object, says: str) -> None:
    record = json.loads(record_path(written).read_text())
    record |= {key: value}
    if value is None:
        del record[key]
    record_path(written).write_bytes(seal_text(json.dumps(record).encode(), "m.engine.json"))
    with pytest.raises(ModelFileError, match=says):
        inspect_engine(written)


def test_a_flipped_bit_in_the_description_is_found(written: Path) -> None:
    beside = record_path(written)
    content = beside.read_bytes()
    for place in range(0, len(content), 23):
        flipped = bytearray(content)
        flipped[place] ^= 1
        beside.write_bytes(flipped)
        with pytest.raises(ModelFileError, match=r"m\.engine\.json.*Build the engine again"):
            inspect_engine(written)


def test_the_digest_cannot_be_hidden_by_one_bit(written: Path) -> None:
    beside = record_path(written)
    content = beside.read_bytes()
    place = content.index(b"file_sha256")
    for bit in range((place - 1) * 8, (place + 80) * 8):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        beside.write_bytes(flipped)
        with pytest.raises(ModelFileError):
            inspect_engine(written)


def test_an_older_description_has_no_digest(written: Path) -> None:
    beside = record_path(written)
    record = json.loads(beside.read_text())
    del record["file_sha256"]
    beside.write_text(json.dumps(record))
    assert inspect_engine(written)[1] == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("name", ["m.engine", "m.engine.json"])
def test_a_pipe_in_the_place_of_a_file(written: Path, name: str) -> None:
    path = written.with_name(name)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelFileError, match=f"{name} cannot be read: it is a pipe or a device"):
        inspect_engine(written)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000])
def test_description_that_is_none(written: Path, content: bytes) -> None:
    record_path(written).write_bytes(content)
    with pytest.raises(ModelFileError, match=r"m\.engine\.json is damaged"):
        inspect_engine(written)


def test_full_disk_leaves_the_earlier_engine(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in written.parent.iterdir()}

    def full(self: Path, *arguments: object, **options: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        write_engine_file(written, b"newer", _record())
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in written.parent.iterdir()} == before


def test_inspection_needs_neither_tensorrt_nor_torch_nor_onnx(written: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "import denylist\n"
        "denylist.install(['tensorrt_rtx', 'tensorrt', 'torch', 'onnx', 'onnxruntime', 'dermedge_export'])\n"
        f"sys.argv = ['dermedge', 'inspect', {str(written)!r}]\n"
        "from dermedge.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "compute_capabilities: 8.6, 12.0" in done.stdout
    assert "name image, side input, dtype uint8, shape batch, 8, 8, 3" in done.stdout
