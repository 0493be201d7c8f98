"""The JSON beside a model file says what the file says; both are there, or neither."""

import errno
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
from make_tiny_model import TINY, tiny_spec

from dermedge_export.model_json import json_path, model_and_json
from dermedge_runtime.model.description import ModelSpec


def write(target: Path) -> None:
    with model_and_json(target) as temporary:
        temporary.write_bytes(TINY.read_bytes())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_says_what_the_file_says(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "dermedge_export")
    target = tmp_path / "concat-1.5-int8.onnx"
    write(target)
    assert names(tmp_path) == ["concat-1.5-int8.json", "concat-1.5-int8.onnx"]
    record = json.loads(json_path(target).read_text(encoding="utf-8"))
    assert record.pop("onnx_file") == target.name
    assert record.pop("onnx_sha256") == hashlib.sha256(target.read_bytes()).hexdigest()
    assert ModelSpec.from_json(json.dumps(record), "json") == tiny_spec()
    assert caplog.messages == [
        f"{json_path(target)} holds the description of concat-1.5-int8.onnx, for clients that cannot read it there"
    ]


def test_every_export_has_one(exported: dict) -> None:
    for precision, report in exported.items():
        record = json.loads(json_path(report.path).read_text(encoding="utf-8"))
        assert record["precision"] == precision
        assert record["onnx_sha256"] == hashlib.sha256(report.path.read_bytes()).hexdigest()
        assert record["parity"]["images"] == report.parity.images


@pytest.mark.parametrize("earlier", [None, b"earlier"])
@pytest.mark.parametrize("fails", ["m.json", "m.onnx"])
def test_both_or_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bytes | None, fails: str) -> None:
    """The second name is refused after the first was given, as Windows does while another process reads the file."""
    before = {}
    if earlier is not None:
        before = {"m.json": earlier + b" json", "m.onnx": earlier + b" onnx"}
        for name, content in before.items():
            (tmp_path / name).write_bytes(content)
    given: list[str] = []

    def refuse(source: Any, target: Any, *rest: Any) -> None:
        given.append(Path(target).name)
        if given[-1] == fails:
            raise PermissionError(errno.EACCES, "in use", str(target))
        rename(source, target, *rest)

    rename = os.replace
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match="in use"):
        write(tmp_path / "m.onnx")
    assert fails in given
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_is_refused_before_leaves_both_alone(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text("earlier")
    with pytest.raises(RuntimeError), model_and_json(tmp_path / "m.onnx"):
        raise RuntimeError
    assert names(tmp_path) == ["m.json"]
    assert (tmp_path / "m.json").read_text() == "earlier"
