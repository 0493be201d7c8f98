"""`dermedge doctor` tells the truth about this machine, in text and JSON, with its exit codes; crashes are findings."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dermedge_runtime.commands.doctor import ask_apart, doctor_text, examine, exit_code
from dermedge_runtime.devices.providers import PROVIDERS
from dermedge_runtime.devices.trial_network import OUTPUTS
from dermedge_runtime.devices.trial_run import Trial
from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files import cache_folder


def answer(device: str, runs: bool) -> Trial:
    if runs:
        return Trial(device, True, PROVIDERS[device].name, "onnxruntime 1.99", f"the {device}")
    return Trial(device, False, PROVIDERS[device].name, cause=f"no {device}", mend=f"Run: get {device}")


def test_this_machine(cli, tmp_path: Path) -> None:
    done = cli("doctor", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads(done.stdout)
    devices = {entry["device"]: entry for entry in record["devices"]}
    assert list(devices) == list(PROVIDERS)
    assert devices["cpu"]["runs"]
    assert set(devices["cpu"]["differences"]) == set(OUTPUTS)
    assert record["auto"] in devices
    assert devices[record["auto"]]["runs"]
    assert record["packages"]["numpy"]
    assert record["cache"]["writable"]
    for entry in devices.values():
        assert entry["runs"] or (entry["cause"] and entry["mend"])
    assert list(tmp_path.iterdir()) == []


def test_text_of_this_machine(cli) -> None:
    done = cli("doctor", "--device", "cpu")
    assert (done.returncode, done.stderr) == (0, "")
    assert "cpu       runs  " in done.stdout
    assert "CPUExecutionProvider, onnxruntime" in done.stdout
    assert "                all outputs within 0.0001\n" in done.stdout
    assert "rtx" not in done.stdout.partition("cache:")[2]


def test_one_device_that_does_not_run_is_5(cli) -> None:
    done = cli("doctor", "--device", "tensorrt", "--json")
    (entry,) = json.loads(done.stdout)["devices"]
    if entry["runs"]:
        pytest.skip("this machine has a working TensorRT")
    assert done.returncode == 5
    assert "pip install 'dermedge[tensorrt]'" in entry["mend"] or entry["cause"]


def test_a_cache_folder_that_cannot_be_written(cli, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    done = cli("doctor", "--device", "cpu", "--json", DERMEDGE_CACHE=str(blocked))
    assert done.returncode == 0
    (problem,) = [p for p in json.loads(done.stdout)["problems"] if "cache" in p["cause"]]
    assert str(blocked) in problem["cause"]
    assert "DERMEDGE_CACHE" in problem["mend"]


@pytest.mark.parametrize(
    ("running", "auto"), [(("cuda", "cpu"), "cuda"), (("tensorrt", "openvino", "cpu"), "openvino"), ((), None)]
)
def test_auto_and_exit_code_follow_what_runs(running: tuple[str, ...], auto: str | None) -> None:
    record = examine(ask=lambda device: answer(device, device in running))
    assert record["auto"] == auto
    assert exit_code(record, None) == (0 if running else 1)
    text = doctor_text(record)
    assert (f"auto takes {auto}" in text) == (auto is not None)
    assert "rtx       no    no rtx.\n                Run: get rtx\n" in text
    for device in running:
        assert f"the {device}, {PROVIDERS[device].name}, onnxruntime 1.99" in text


@pytest.mark.parametrize(("runs", "code"), [(True, 0), (False, 5)])
def test_the_exit_code_of_one_device(runs: bool, code: int) -> None:
    assert exit_code(examine(["rtx"], lambda device: answer(device, runs)), "rtx") == code


def test_all_outputs_of_a_device_are_told() -> None:
    right = replace(answer("cuda", True), differences={"probabilities": 0.00021, "explained": 0.000004})
    cause = "it runs, but its answers are off by 0.7 in 'explained' (weights)"
    wrong = Trial("openvino", False, "OpenVINO", "1.8", "the CPU", cause, "Update it", differences={"explained": 0.7})
    record = examine(["cuda", "openvino"], {"cuda": right, "openvino": wrong}.__getitem__)
    lines = doctor_text(record).splitlines()
    first = lines.index("cuda      runs  the cuda, CUDAExecutionProvider, onnxruntime 1.99")
    assert lines[first + 1 : first + 5] == [
        "                all outputs within 0.0003",
        "openvino  runs, but its answers are off by 0.7 in 'explained' (weights).",
        "                the CPU, OpenVINO, 1.8",
        "                Update it",
    ]
    assert exit_code(examine(["openvino"], lambda device: wrong), "openvino") == 5
    assert examine(ask=lambda device: replace(wrong, device=device))["auto"] is None


def test_a_cpu_that_cuts_int8_sums_off_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermedge_runtime.commands.doctor.int8_instructions", lambda: ())
    monkeypatch.setattr("dermedge_runtime.commands.doctor.saturates", lambda: True)
    record = examine(["cpu"], lambda device: answer(device, True))
    assert record["cpu"]["saturates"] is True
    (problem,) = [entry for entry in record["problems"] if "INT8" in entry["cause"]]
    for part in ("without VNNI", "earlier versions", "session.x64quantprecision=1", "the speed of FP32"):
        assert part in problem["cause"]


def test_what_auto_has_kept_is_removed() -> None:
    kept = cache_folder() / "probes" / "openvino-0.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text("{}")
    examine(["openvino"])
    assert not kept.exists()


def test_both_wheels_and_a_slow_cpu_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    wheels = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
    monkeypatch.setattr("dermedge_runtime.devices.installed.versions", lambda names: wheels)
    monkeypatch.setattr("dermedge_runtime.commands.doctor.int8_instructions", lambda: ())
    monkeypatch.setattr("dermedge_runtime.commands.doctor._cuts_sums_off", lambda: False)
    record = examine(["cpu"], lambda device: answer(device, True))
    causes = " ".join(problem["cause"] for problem in record["problems"])
    assert "onnxruntime and onnxruntime-gpu are installed together" in causes
    assert "no instructions for INT8" in causes
    text = doctor_text(record)
    assert "Run: pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'dermedge[cpu]'" in text
    assert "no INT8 instructions" in text


def test_no_onnxruntime_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise DermedgeError("onnxruntime is not installed. Run: pip install x.")

    monkeypatch.setattr("dermedge_runtime.devices.starting.import_onnxruntime", absent)
    record = examine()
    assert exit_code(record, None) == 1
    assert {entry["cause"] for entry in record["devices"]} == {"onnxruntime is not installed. Run: pip install x."}


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        ("import os; os._exit(3)", "its process ended with code 3 before it answered: no message"),
        ("import sys; sys.exit('segfault')", "its process ended with code 1 before it answered: segfault"),
        ("print('no JSON')", "its process ended with code 0 before it answered: no message"),
    ],
)
def test_a_probe_that_dies_is_a_finding(script: str, cause: str) -> None:
    found = ask_apart("cuda", [sys.executable, "-c", script])
    assert (found.runs, found.cause) == (False, cause)


def test_a_probe_that_hangs_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermedge_runtime.commands.doctor._LIMIT_S", 0.5)
    found = ask_apart("cuda", [sys.executable, "-c", "import time; time.sleep(60)"])
    assert found.cause == "it did not answer within 0.5 seconds"


def test_the_loaders_words_are_taken_from_onnxruntimes_log() -> None:
    told = "[E] FAIL : Failed to load library /x/cuda.so with error: undefined symbol: cuX"
    script = f"import sys; print({json.dumps(json.dumps(answer('cuda', False).to_record()))}); sys.exit({told!r})"
    assert ask_apart("cuda", [sys.executable, "-c", script]).cause == "no cuda (undefined symbol: cuX)"


def test_a_real_probe_apart() -> None:
    assert ask_apart("cpu").runs
