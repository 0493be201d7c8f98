"""A demo replaces what an earlier demo made, and nothing else."""

import os
from pathlib import Path

import pytest

from dermedge.commands import demo_steps
from dermedge.commands.demo_folder import DemoFolder
from dermedge_runtime.errors import UsageError


class Began(Exception):
    pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def begin(data: Path, count: int) -> None:
        raise Began

    monkeypatch.setattr(demo_steps, "write_dataset", begin)
    monkeypatch.setattr(demo_steps, "read_samples", begin)
    monkeypatch.setenv("DERMEDGE_CACHE", os.fspath(tmp_path / "cache"))
    return tmp_path / "here"


def run(folder: Path) -> None:
    demo_steps.run_demo(folder, 1, show=lambda line: None)


def put(path: Path, text: str = "mine") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_an_empty_folder_and_one_with_other_things_are_taken(folder):
    put(folder / "README.md")
    put(folder / "notes" / "a.txt")
    with pytest.raises(Began):
        run(folder)
    with pytest.raises(Began):
        run(folder)


@pytest.mark.parametrize(
    "name",
    [
        *("runs/cross_attention/config.json", "runs/cross_attention/weights.safetensors", "runs/other/config.json"),
        *("models/cross_attention-int8.onnx", "models/best.onnx", "data/HAM10000_metadata.csv", "bench.json"),
    ],
)
def test_a_folder_that_holds_somebodys_work_is_refused_and_left_as_it_is(folder, name):
    path = put(folder / name)
    with pytest.raises(UsageError, match=r"name another folder with --folder\.$") as caught:
        run(folder)
    assert "\n" not in str(caught.value)
    assert [found for found in folder.rglob("*") if found.is_file()] == [path] and path.read_text() == "mine"


def test_what_an_earlier_demo_made_is_replaced_until_somebody_changes_it(folder):
    made = [folder / "runs" / "cross_attention" / "config.json", folder / "models" / "cross_attention-fp32.onnx"]
    own = DemoFolder(folder)
    own.claim([folder / "runs", folder / "models"], made)
    for path in made:
        put(path, "the demo's")
        own.note(path)
    with pytest.raises(Began):
        run(folder)
    put(made[0], "trained on real data since, with --overwrite")
    with pytest.raises(UsageError, match=r"config\.json is not what an earlier demo"):
        run(folder)
    put(made[0], "the demo's")
    made[1].unlink()
    made[1].symlink_to(put(folder / "elsewhere.onnx"))
    with pytest.raises(UsageError, match=r"fp32\.onnx is not what an earlier demo"):
        run(folder)


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"runs/cross_attention/config.json": 5}'])
def test_a_damaged_marker_proves_nothing(folder, text):
    put(folder / ".dermedge-demo.json", text)
    with pytest.raises(Began):
        run(folder)
    put(folder / ".dermedge-demo.json", text)
    put(folder / "runs" / "cross_attention" / "config.json")
    with pytest.raises(UsageError, match="is not what an earlier demo"):
        run(folder)
