"""The JavaScript example gives the golden outputs; skipped where Node or its packages are absent (NODE_PATH)."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from any_size_models import write_box_of_any_size
from golden_vector import EXAMPLES, GOLDEN, LABEL, PICTURE, VALUES, furthest

from dermedge_export.model_json import json_path, model_and_json
from dermedge_runtime import model_in_the_box

SETTINGS = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}


def node(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["node", *arguments], capture_output=True, text=True, timeout=120, check=False, env=SETTINGS)


@pytest.fixture(scope="module", autouse=True)
def _node_is_there() -> None:
    if shutil.which("node") is None:
        pytest.skip("Node is not installed")
    if node("-e", "require('onnxruntime-node'); require('sharp')").returncode:
        pytest.skip("Node does not find onnxruntime-node and sharp: npm install them, and set NODE_PATH")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in the box for pictures of any size, with its JSON."""
    target, folder = tmp_path_factory.mktemp("node") / "any.onnx", tmp_path_factory.mktemp("box")
    with model_and_json(target) as temporary:
        shutil.copyfile(write_box_of_any_size(folder), temporary)
    return target


def start(model: Path, *values: str) -> subprocess.CompletedProcess[str]:
    return node(str(EXAMPLES / "node_client.js"), str(model), str(PICTURE), *values)


def test_it_gives_the_golden_outputs(model: Path) -> None:
    done = start(model, *VALUES)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["label"], found["classes"]) == (LABEL, GOLDEN["classes"])
    assert furthest({name: found[name] for name in GOLDEN["outputs"]}) < GOLDEN["tolerance"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("weight=70", "The model has no field weight."),
        ("sex=femal", "sex cannot be femal."),
        ("age=old", "age cannot be old."),
    ],
)
def test_a_wrong_value_is_no_unknown_one(model: Path, value: str, message: str) -> None:
    done = start(model, value)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{message}\n")


def test_a_json_of_another_export_is_refused(model: Path, tmp_path: Path) -> None:
    shutil.copy(json_path(model), tmp_path)
    other = tmp_path / model.name
    other.write_bytes(model.read_bytes() + b"\0")
    assert "and its JSON are not of one export." in start(other).stderr


def test_a_file_of_one_size_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "fixed.onnx"
    with model_and_json(target) as temporary:
        shutil.copyfile(model_in_the_box(), temporary)
    assert "does not resize pictures. Export it with --any-size." in start(target).stderr
