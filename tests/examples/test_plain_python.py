"""The example in plain Python needs none of our packages, and answers as the runtime does."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from any_size_models import write_box_of_any_size
from golden_vector import EXAMPLES, GOLDEN, LABEL, PICTURE, VALUES, furthest
from PIL import Image

from dermedge_runtime import Classifier, model_in_the_box, renew_digest

OURS = ("dermedge", "dermedge_runtime", "dermedge_export", "torch", "onnx", "pandas")
TESTS = Path(__file__).parents[1]
START = f"""
import runpy, sys
sys.path.insert(0, {str(TESTS)!r})
import denylist
denylist.install({OURS!r})
runpy.run_path({str(EXAMPLES / "plain_python.py")!r}, run_name="__main__")
"""


def start(model: Path, picture: Path, *values: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", START, str(model), str(picture), *values]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def answer(model: Path, picture: Path, *values: str) -> dict[str, Any]:
    done = start(model, picture, *values)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("any_size", [False, True])
def test_it_gives_the_golden_outputs(any_size: bool, tmp_path: Path) -> None:
    model = write_box_of_any_size(tmp_path) if any_size else model_in_the_box()
    found = answer(model, PICTURE, *VALUES)
    assert (found["label"], found["classes"]) == (LABEL, GOLDEN["classes"])
    assert furthest({name: found[name] for name in GOLDEN["outputs"]}) < GOLDEN["tolerance"]


def test_a_turned_picture_with_transparency_and_nothing_known(tmp_path: Path) -> None:
    turned, path = Image.open(PICTURE).convert("RGBA"), tmp_path / "turned.png"
    turned.putalpha(Image.linear_gradient("L").resize(turned.size).point(lambda level: 128 + level // 2))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(path, exif=exif)
    right = Classifier(model_in_the_box(), "cpu").predict(path).probabilities
    found = answer(model_in_the_box(), path)
    assert dict(zip(found["classes"], found["probabilities"], strict=True)) == pytest.approx(right, abs=0.01)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("weight=70", "The model has no field weight."),
        ("sex=femal", "sex is one of female, male; got femal."),
        ("age=old", "'old'"),
    ],
)
def test_a_wrong_value_is_no_unknown_one(value: str, message: str) -> None:
    done = start(model_in_the_box(), PICTURE, value)
    assert done.returncode == 1 and not done.stdout
    assert message in done.stderr


def test_it_shrinks_with_the_filter_of_the_description(tmp_path: Path) -> None:
    model = tmp_path / "nearest.onnx"
    proto = onnx.load(model_in_the_box())
    entry = next(entry for entry in proto.metadata_props if entry.key == "dermedge")
    spec = json.loads(entry.value)
    spec["image"]["resample"] = "nearest"
    entry.value = json.dumps(spec)
    onnx.save(proto, model)
    renew_digest(model)
    right = Classifier(model, "cpu").predict(PICTURE).probabilities
    bilinear = Classifier(model_in_the_box(), "cpu").predict(PICTURE).probabilities
    assert max(abs(right[name] - bilinear[name]) for name in right) > 0.01
    found = answer(model, PICTURE)
    assert dict(zip(found["classes"], found["probabilities"], strict=True)) == pytest.approx(right, abs=0.001)


def test_without_a_picture_it_says_how_it_is_called() -> None:
    done = subprocess.run([sys.executable, "-c", START, "m.onnx"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Usage: python plain_python.py MODEL.onnx PICTURE")
