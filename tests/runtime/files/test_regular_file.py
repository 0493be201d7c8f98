"""What stands where a model file should: a pipe, a device, a folder, a file without end. None hangs or fills memory."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from make_tiny_model import TINY

from dermedge_runtime import Classifier, ModelFileError, renew_digest
from dermedge_runtime.files import regular_file
from dermedge_runtime.files.regular_file import LARGEST_MODEL, read_regular
from dermedge_runtime.model.model_file import read_model_file

OPENINGS: list[Callable[[Path], object]] = [read_model_file, lambda path: Classifier(path, "cpu"), renew_digest]


def refusal(path: str | Path, opening: Callable[..., object] = read_model_file) -> str:
    with pytest.raises(ModelFileError) as caught:
        opening(path)
    return str(caught.value)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("opening", OPENINGS)
def test_a_pipe_without_a_writer(tmp_path: Path, opening: Callable[[Path], object]) -> None:
    path = tmp_path / "pipe.onnx"
    os.mkfifo(path)
    assert refusal(path, opening).endswith("it is a pipe or a device, no regular file.")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null", "/dev/stdin"])
def test_a_device(name: str) -> None:
    if name == "/dev/stdin" and os.path.isfile(name):
        pytest.skip("standard input is a file here")
    assert "regular file" in refusal(name)


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.onnx")
        assert refusal("s.onnx").endswith("it is a pipe or a device, no regular file.")


@pytest.mark.parametrize("opening", OPENINGS)
def test_a_folder(tmp_path: Path, opening: Callable[[Path], object]) -> None:
    assert refusal(tmp_path, opening) == f"The model file {tmp_path} cannot be read: it is a folder."


def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(LARGEST_MODEL + 1)  # sparse: it takes no room
    assert refusal(path).endswith("it has 2,147,483,648 bytes, and the limit is 2,147,483,647.")


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: int) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(TINY.read_bytes())
    real = os.fstat

    def earlier(handle: int) -> os.stat_result:
        state = list(real(handle))
        state[6] += change
        return os.stat_result(state)

    monkeypatch.setattr(regular_file.os, "fstat", earlier)
    assert refusal(path) == f"The model file {path} changed while it was read. Wait until it is written."


@pytest.mark.parametrize("name", ["", "-"])
def test_no_name(name: str) -> None:
    assert refusal(name) == f"'{name}' names no model file; a model is read from a file only."


@pytest.mark.parametrize("suffix", [".engine", ".ENGINE", ".Engine"])
def test_an_engine_in_any_spelling(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m{suffix}"
    path.write_bytes(TINY.read_bytes())
    assert refusal(path) == f"m{suffix} is a TensorRT engine; give the ONNX file that it was built from."


def test_a_null_character_in_the_name() -> None:
    assert "cannot be read" in refusal("a\0b.onnx")


def test_another_limit(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"12345")
    assert read_regular(path, "description", 5) == b"12345"
    with pytest.raises(ModelFileError, match=r"^The description .* it has 5 bytes, and the limit is 4\.$"):
        read_regular(path, "description", 4)
