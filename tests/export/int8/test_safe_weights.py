"""INT8 weights: no pair of products leaves 16 bits, and the rounding errors of a channel cancel."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from dermedge.data.synthetic_picture import picture
from dermedge_export.description import write_described
from dermedge_export.int8.safe_weights import LARGEST_WEIGHT, balanced_rounding
from dermedge_runtime import Classifier, model_in_the_box
from dermedge_runtime.devices import trial_run
from dermedge_runtime.model.model_file import read_model_file

_EMULATOR = shutil.which("qemu-x86_64")


@pytest.mark.parametrize("shape", [(8, 16, 3, 3), (8, 1, 5, 5), (4, 32, 1, 1), (16, 40), (3, 1)])
def test_errors_of_a_channel_and_of_its_kernels_add_up_to_half_a_step(shape: tuple[int, ...]) -> None:
    weights = np.random.default_rng(0).uniform(-60, 60, shape)
    rounded = balanced_rounding(weights)
    errors = (rounded - weights).reshape(shape[0], shape[1] if len(shape) > 2 else 1, -1)
    assert rounded.dtype == np.int8
    assert np.abs(errors).max() < 1
    assert np.abs(errors.sum(axis=(1, 2))).max() <= 0.5 + 1e-9
    if len(shape) > 2:
        assert np.abs(errors.sum(axis=2)).mean() < 0.5


def test_plain_rounding_would_not_cancel() -> None:
    weights = np.full((1, 1, 3, 3), 0.4)
    assert np.rint(weights).sum() == 0
    assert balanced_rounding(weights).sum() == 4  # of 3.6


def test_the_largest_weights_stay_within_the_range() -> None:
    weights = np.full((1, 2, 3, 3), LARGEST_WEIGHT - 0.4)
    weights[0, 0] = 200
    rounded = balanced_rounding(weights)
    assert rounded.max() == LARGEST_WEIGHT
    assert (rounded[0, 0] == LARGEST_WEIGHT).all()


def int8_weights(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Constant int8 matrices and kernels that products in bytes read, by name."""
    floats = {node.input[0] for node in proto.graph.node if node.op_type == "Cast"}  # stored in bytes alone
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    return {
        name: array
        for name, array in arrays.items()
        if array.dtype == np.int8 and array.ndim > 1 and name not in floats
    }


@pytest.mark.parametrize("source", ["exported", "box"])
def test_no_pair_of_products_leaves_sixteen_bits(source: str, request: pytest.FixtureRequest) -> None:
    path = model_in_the_box() if source == "box" else request.getfixturevalue("exported")["int8"].path
    weights = int8_weights(onnx.load(path))
    assert len(weights) >= 17
    for name, values in weights.items():
        assert np.abs(values.astype(int)).max() <= LARGEST_WEIGHT, name
        assert 2 * 255 * np.abs(values.astype(int)).max() <= np.iinfo(np.int16).max


@pytest.mark.parametrize("cut_off", [True, False])
def test_a_file_with_weights_of_eight_bits_is_computed_in_wide_sums_where_others_are_cut_off(
    cut_off: bool, exported: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wide_sums(path: Path) -> bool:
        options = Classifier(path, device="cpu")._opened.session.get_session_options()
        try:
            return bool(options.get_session_config_entry("session.x64quantprecision") == "1")
        except RuntimeError:  # it was not set
            return False

    monkeypatch.setattr(trial_run, "saturates", lambda: cut_off)
    file = read_model_file(exported["int8"].path)
    assert not file.spec.saturates
    assert not wide_sums(file.path)
    conversion = {key: value for key, value in file.spec.conversion.items() if key != "weight_bits"}
    older = tmp_path / "older.onnx"
    write_described(onnx.load_from_string(file.content), replace(file.spec, conversion=conversion), older)
    assert read_model_file(older).spec.saturates
    assert wide_sums(older) == cut_off
    assert not read_model_file(exported["fp32"].path).spec.saturates


_SCRIPT = """
import json, sys
from dermedge_runtime import Classifier, model_in_the_box
import numpy as np, onnxruntime as ort
pictures = np.load(sys.argv[1])
options = ort.SessionOptions()
options.log_severity_level = 3
session = ort.InferenceSession(str(model_in_the_box()), options, providers=["CPUExecutionProvider"])
rows = len(pictures)
feeds = {"image": pictures, "numeric": np.full([rows, 1], 60, np.float32)}
feeds |= {"categorical": np.full([rows, 2], 1, np.int32), "target": np.full([rows], -1, np.int32)}
names = [value.name for value in session.get_outputs()]
answers = {name: value.tolist() for name, value in zip(names, session.run(names, feeds))}
ours = Classifier(model_in_the_box(), device="cpu").run(feeds["image"], feeds["numeric"], feeds["categorical"])
print(json.dumps([answers, {name: value.tolist() for name, value in ours.items()}]))
"""


@pytest.mark.skipif(_EMULATOR is None, reason="qemu-x86_64 is not installed (Debian: qemu-user)")
def test_the_model_in_the_box_answers_alike_on_a_cpu_without_vnni(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    size = read_model_file(model_in_the_box()).spec.image.size
    pictures = [np.asarray(picture(kind, generator, size, size)) for kind in ("mel", "nv", "bcc")]
    np.save(tmp_path / "pictures.npy", np.stack(pictures))
    answers = []
    for prefix in ([], [str(_EMULATOR), "-cpu", "Haswell"]):
        command = [*prefix, sys.executable, "-c", _SCRIPT, str(tmp_path / "pictures.npy")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout.splitlines()[-1]))
    for here, there in zip(*answers, strict=True):
        assert here.keys() == there.keys() >= {"probabilities", "heatmap", "relevance", "attribution"}
        for name in here:
            np.testing.assert_allclose(there[name], here[name], atol=0.01, err_msg=name)
