"""The probe's network is a valid ONNX file, gives numpy's answer, and a device that does not run says why."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest

from dermedge_runtime import DermedgeError
from dermedge_runtime.probe import Probe, expected, network, probe


def test_the_network_is_a_small_valid_onnx_file() -> None:
    onnx.checker.check_model(onnx.load_from_string(network()), full_check=True)
    assert len(network()) < 1024


def test_the_expected_answer_depends_on_the_image() -> None:
    first, second = np.random.default_rng(0).random((2, 1, 3, 8, 8), dtype=np.float32)
    assert np.abs(expected(first) - expected(second)).max() > 0.01
    assert expected(first).sum() == pytest.approx(1)


def test_the_cpu_runs() -> None:
    answer = probe("cpu")
    assert (answer.runs, answer.cause, answer.mend) == (True, "", "")
    assert answer.provider == "CPUExecutionProvider"
    assert answer.provider_version.startswith("onnxruntime")
    assert answer.hardware


def test_a_wrong_answer_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in (np.full((1, 3), 0.5, np.float32), np.full((1, 3), np.nan, np.float32)):
        monkeypatch.setattr("dermedge_runtime.probe.expected", lambda image, wrong=wrong: wrong)
        answer = probe("cpu")
        assert not answer.runs
        assert answer.cause.startswith("it runs, but its answer is off by")


def test_an_absent_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermedge_runtime.devices.find_spec", lambda name: None)
    answer = probe("rtx")
    assert (answer.runs, answer.installed) == (False, False)
    assert answer.cause == "the package onnxruntime-ep-nv-tensorrt-rtx is not installed"
    assert "pip install 'dermedge[rtx]'" in answer.mend


@pytest.mark.parametrize(
    ("error", "cause"), [(DermedgeError("x is missing."), "x is missing."), (ValueError("odd"), "ValueError: odd")]
)
def test_anything_else_that_is_broken(monkeypatch: pytest.MonkeyPatch, error: Exception, cause: str) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("dermedge_runtime.probe.open_session", fail)
    assert probe("cpu") == Probe("cpu", False, "CPUExecutionProvider", cause=cause)


def test_as_a_process() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dermedge_runtime.probe", "cpu"], capture_output=True, text=True, check=True
    )
    assert Probe(**json.loads(done.stdout)) == probe("cpu")
