"""Opening a model file: it is read once and checked, and every way in which it can be wrong has its message."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_tiny_model import TINY, build, tiny_spec
from onnx import helper

from dermedge_runtime import ModelFileError
from dermedge_runtime.model.model_file import read_model_file

CONTENT = TINY.read_bytes()
OLDER = build().SerializeToString()
"""Without a digest, which would refuse every change before anything else is looked at."""


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_model_file(path)
    assert caught.value.exit_code == 4
    return str(caught.value)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_good_file(kind: type) -> None:
    file = read_model_file(kind(TINY))
    assert file.path == TINY
    assert file.content == CONTENT
    assert file.spec == tiny_spec()


def test_a_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "none.onnx"
    assert refusal(path) == f"The model file {path} cannot be read: No such file or directory."


def test_a_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"The model file {tmp_path} cannot be read: ")


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty.onnx"
    path.touch()
    assert refusal(path).startswith("empty.onnx is no ONNX model: it holds no graph with operators.")


def test_text_instead_of_a_model(tmp_path: Path) -> None:
    path = tmp_path / "page.onnx"
    path.write_text("<!DOCTYPE html><title>404</title>")
    assert refusal(path).startswith("page.onnx is no complete ONNX file (")


@pytest.mark.parametrize("metadata", [{}, {"Dermedge": "{}", "author": "someone"}])
def test_an_onnx_file_of_someone_else(tmp_path: Path, metadata: dict[str, str]) -> None:
    model = build()
    del model.metadata_props[:]
    helper.set_model_props(model, metadata)
    path = tmp_path / "other.onnx"
    path.write_bytes(model.SerializeToString())
    assert refusal(path) == (
        "other.onnx is an ONNX file without dermedge's description, so its classes and inputs are unknown."
        " Use a file made by `dermedge export`."
    )


def test_a_damaged_description_names_the_file(tmp_path: Path) -> None:
    model = build()
    helper.set_model_props(model, {"dermedge": "{'a': 1}"})
    path = tmp_path / "odd.onnx"
    path.write_bytes(model.SerializeToString())
    assert refusal(path).startswith("odd.onnx: its dermedge description is damaged (")


@pytest.mark.parametrize("length", range(0, len(OLDER), 97))
def test_a_file_that_was_cut_off(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(OLDER[:length])
    assert refusal(path).startswith("cut.onnx ")


@settings(max_examples=500, deadline=None, derandomize=True)
@given(flips=st.lists(st.tuples(st.integers(0, len(OLDER) - 1), st.integers(1, 255)), min_size=1, max_size=5))
def test_flipped_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    content = bytearray(OLDER)
    for place, mask in flips:
        content[place] ^= mask
    path = tmp_path_factory.getbasetemp() / "flipped.onnx"
    path.write_bytes(content)
    try:
        file = read_model_file(path)
    except ModelFileError as error:
        assert "flipped.onnx" in str(error)
        return
    assert file.content == content


@settings(max_examples=200, deadline=None, derandomize=True)
@given(content=st.binary(max_size=200))
def test_random_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "random.onnx"
    path.write_bytes(content)
    assert "random.onnx" in refusal(path)
