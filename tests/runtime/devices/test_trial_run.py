"""The trial's network is a valid ONNX file, all its outputs are compared, and a device that does not run says why."""

import json
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import onnx
import pytest
from needs_openvino import run_openvino

from dermedge_runtime import DermedgeError
from dermedge_runtime.devices.trial_network import LARGEST_WEIGHT, OUTPUTS, expected, network, outputs, picture
from dermedge_runtime.devices.trial_run import LIMIT, Trial, difference, fault, run_trial, saturates


@pytest.mark.parametrize("quantised", [True, False])
def test_the_network_is_a_small_valid_onnx_file(quantised: bool) -> None:
    proto = onnx.load_from_string(network(quantised=quantised))
    onnx.checker.check_model(proto, full_check=True)
    assert tuple(value.name for value in proto.graph.output) == outputs(quantised=quantised)
    assert len(network(quantised=quantised)) < 2500


def test_the_network_reads_one_square_weight_both_ways_and_has_an_int8_convolution() -> None:
    proto = onnx.load_from_string(network())
    sizes = {tensor.name: list(tensor.dims) for tensor in proto.graph.initializer}
    readers = [node.op_type for node in proto.graph.node if "square" in node.input]
    assert sorted(readers) == ["MatMul", "Transpose"]
    assert sizes["square"][0] == sizes["square"][1]
    assert sum(node.op_type == "DequantizeLinear" for node in proto.graph.node) == 3


def test_every_expected_output_depends_on_the_image() -> None:
    bright = np.random.default_rng(0).random((1, 3, 8, 8), dtype=np.float32)
    first, second = expected(bright), expected(bright / 2)
    assert set(first) == set(OUTPUTS)
    for name, values in first.items():
        assert difference(values, second[name]) > 0.01, name
    assert first["probabilities"].sum() == pytest.approx(1)


def test_the_cpu_runs() -> None:
    answer = run_trial("cpu")
    assert (answer.runs, answer.cause, answer.mend) == (True, "", "")
    assert answer.provider == "CPUExecutionProvider"
    assert answer.provider_version.startswith("onnxruntime")
    assert answer.hardware
    assert set(answer.differences) == set(OUTPUTS)
    assert max(answer.differences.values()) < 1e-5


@pytest.mark.parametrize("name", OUTPUTS)
@pytest.mark.parametrize(("change", "told"), [(0.7, "off by "), (np.nan, "no number"), (np.inf, "no number")])
def test_a_wrong_answer_in_any_output_is_noticed(
    monkeypatch: pytest.MonkeyPatch, name: str, change: float, told: str
) -> None:
    run = _run_of_the_cpu()

    def wrong(names: list[str], feed: dict[str, Any]) -> list[np.ndarray]:
        return [array + np.float32(change) * (one == name) for one, array in zip(names, run(names, feed), strict=True)]

    monkeypatch.setattr(
        "dermedge_runtime.devices.session.DeviceSession.run", lambda self, names, feed: wrong(names, feed)
    )
    with np.errstate(invalid="ignore"):
        answer = run_trial("cpu")
    assert not answer.runs
    assert answer.cause.startswith(f"it runs, but its answers are {told}")
    assert f"in '{name}' ({OUTPUTS[name]})" in answer.cause
    assert answer.mend
    json.dumps(answer.to_record(), allow_nan=False)


def _run_of_the_cpu() -> Any:
    from dermedge_runtime.devices.opening import open_session

    return open_session(network(), "the trial network", "cpu", 1).session.run


def test_what_a_difference_is() -> None:
    right = np.array([[1, -4]], np.float32)
    assert difference(right + np.float32(0.4), right) == pytest.approx(0.1)
    assert difference(right[0], right) is None
    assert fault({"explained": LIMIT}) == ""
    assert "off by 0.81 in 'explained'" in fault({"probabilities": 0.001, "explained": 0.8143})
    assert " and " in fault({"probabilities": None, "explained": 0.8143})


def test_openvino_at_float32_is_caught_by_the_shared_weight_alone() -> None:
    found = run_openvino(network(), {"image": picture()})
    right = expected(picture())
    differences = {name: difference(found[name], right[name]) for name in right}
    if differences["explained"] < LIMIT:
        pytest.skip("this OpenVINO reads a shared square weight right")
    assert differences["explained"] > 0.1
    assert max(differences["probabilities"], differences["quantised"]) < LIMIT


def test_sums_of_int8_are_cut_off_on_a_cpu_without_vnni() -> None:
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("no qemu-x86_64 (Debian: qemu-user)")
    script = (
        "from dermedge_runtime.devices.trial_run import run_trial, saturates; print(saturates(), run_trial('cpu').runs)"
    )
    done = subprocess.run(
        [emulator, "-cpu", "Haswell", sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["True", "True"]


def test_saturation_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    right = expected(picture(), largest_weight=LARGEST_WEIGHT)["quantised"]
    for values, cut_off in ((right, False), (right * np.float32(0.8), True)):
        monkeypatch.setattr(
            "dermedge_runtime.devices.session.DeviceSession.run", lambda *given, values=values: [values]
        )
        assert saturates() == cut_off


def test_an_absent_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermedge_runtime.devices.starting.find_spec", lambda name: None)
    answer = run_trial("rtx")
    assert (answer.runs, answer.installed) == (False, False)
    assert answer.cause == "the package onnxruntime-ep-nv-tensorrt-rtx is not installed"
    assert "pip install 'dermedge[rtx]'" in answer.mend


@pytest.mark.parametrize(
    ("error", "cause"), [(DermedgeError("x is missing."), "x is missing."), (ValueError("odd"), "ValueError: odd")]
)
def test_anything_else_that_is_broken(monkeypatch: pytest.MonkeyPatch, error: Exception, cause: str) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("dermedge_runtime.devices.trial_run.find_target", fail)
    assert run_trial("cpu") == Trial("cpu", False, "CPUExecutionProvider", cause=cause)


def test_as_a_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dermedge_runtime.devices.trial_run", "cpu"], capture_output=True, text=True, check=True
    )
    assert Trial(**json.loads(done.stdout)) == run_trial("cpu")
