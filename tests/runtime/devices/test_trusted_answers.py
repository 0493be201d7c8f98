"""auto passes over a device whose answers are off, a named one warns, and the comparison is made once."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from device_refusal import CONTENT
from fake_onnxruntime import DRIVER, FakePlugins, FakeSession
from make_tiny_model import TINY

from dermedge_runtime.devices import trusted_answers as trust
from dermedge_runtime.devices.nvidia_driver import Card, Driver
from dermedge_runtime.devices.opening import open_session
from dermedge_runtime.devices.providers import PROVIDERS

OFF = {"explained": 2.0}


class HonestSession(FakeSession):
    """Claims the provider that it was opened with: the CPU where one is named, else the plugin's."""

    def __init__(self, content: bytes, **options: Any) -> None:
        super().__init__(content, **options)
        self.named = options.get("providers")

    def get_providers(self) -> list[str]:
        if self.named is None:
            return list(FakeSession.claims)
        return [entry if isinstance(entry, str) else entry[0] for entry in self.named]


@pytest.fixture(autouse=True)
def only_warnings(caplog: pytest.LogCaptureFixture) -> None:
    """Other libraries turn the root logger's level down, and leave it so for the tests that follow."""
    caplog.set_level("WARNING", "dermedge_runtime")


@pytest.fixture
def machine(fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], FakePlugins]:
    """Give a machine that has one device beside its CPU."""

    def make(device: str) -> FakePlugins:
        name = PROVIDERS[device].name
        plugins = FakePlugins((name, {"version": "1.8"})) if PROVIDERS[device].plugin else FakePlugins()
        plugins.install(monkeypatch)
        monkeypatch.setattr(plugins, "InferenceSession", HonestSession)
        monkeypatch.setattr(fake, "claims", (name,))
        if PROVIDERS[device].plugin is None:
            monkeypatch.setattr("dermedge_runtime.devices.starting.find_spec", lambda name: None)
            monkeypatch.setattr("dermedge_runtime.devices.requirements.missing_library", lambda path: None)
            monkeypatch.setattr(plugins, "get_available_providers", lambda: [name, "CPUExecutionProvider"])
            monkeypatch.setattr(plugins, "__file__", str(onnxruntime.__file__), raising=False)
        return plugins

    return make


def _runs() -> int:
    return HonestSession.__dict__.get("runs", 0)


@pytest.fixture(autouse=True)
def _count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HonestSession, "runs", 0, raising=False)
    monkeypatch.setattr(HonestSession, "opened", (), raising=False)


def _kept(folder: Path) -> list[Path]:
    return sorted((folder / "probes").glob("*.json"))


@pytest.mark.parametrize("device", ["rtx", "cuda", "openvino"])
@pytest.mark.parametrize("name", ["probabilities", "explained"])
def test_auto_passes_over_a_device_that_is_off(
    machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, device: str, name: str
) -> None:
    caplog.set_level("INFO", "dermedge_runtime")
    machine(device)
    monkeypatch.setattr(FakeSession, "off", {name: 0.7})
    for _ in range(2):  # compared, then kept
        caplog.clear()
        assert open_session(CONTENT, "tiny.onnx").provider.device == "cpu"
        (told,) = [message for message in caplog.messages if message.startswith(f"auto passes over {device}")]
        assert "its answers are off by" in told
        assert f"in '{name}'" in told
    assert _runs() == 1


@pytest.mark.parametrize("device", ["rtx", "cuda", "openvino"])
@pytest.mark.parametrize("off", [{}, {"explained": 0.01}])
def test_auto_takes_a_device_that_is_right(
    machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, device: str, off: dict[str, float]
) -> None:
    machine(device)
    monkeypatch.setattr(FakeSession, "off", off)
    for _ in range(2):
        assert open_session(CONTENT, "tiny.onnx").provider.device == device
    assert _runs() == 1
    assert caplog.messages == []


@pytest.mark.parametrize("device", ["rtx", "cuda", "tensorrt", "openvino"])
def test_a_named_device_that_is_off_warns_every_time_and_runs(
    machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, device: str
) -> None:
    machine(device)
    monkeypatch.setattr(FakeSession, "off", OFF)
    for _ in range(2):
        caplog.clear()
        assert open_session(CONTENT, "tiny.onnx", device).provider.device == device
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert f"{device} was asked for and runs, but its answers are off by" in record.getMessage()
    assert _runs() == 1


def test_no_number_is_off(machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    machine("rtx")
    monkeypatch.setattr(FakeSession, "off", {"explained": np.nan})
    for _ in range(2):
        assert open_session(CONTENT, "tiny.onnx").provider.device == "cpu"
    assert _runs() == 1
    assert json.loads(_kept(tmp_path)[0].read_text())["differences"]["explained"] is None


def test_the_kept_record_says_what_it_is_for(machine, tmp_path: Path) -> None:
    machine("rtx")
    open_session(CONTENT, "tiny.onnx", "rtx")
    (path,) = _kept(tmp_path)
    record = json.loads(path.read_text())
    assert set(record["differences"]) == {"probabilities", "explained"}
    assert record["made_for"] | {"network": ""} == {
        "device": "rtx",
        "provider": PROVIDERS["rtx"].name,
        "version": "onnxruntime 1.99.0, onnxruntime-ep-nv-tensorrt-rtx 1.8",
        "driver": DRIVER.version,
        "hardware": "RTX 4090",
        "network": "",
    }


def test_another_version_driver_card_or_network_is_compared_again(
    machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plugins = machine("rtx")
    open_session(CONTENT, "tiny.onnx", "rtx")
    changes: list[Callable[[], None]] = [
        lambda: setattr(plugins, "__version__", "2.0.0"),
        lambda: plugins.devices[0].ep_metadata.update(version="1.9"),
        lambda: monkeypatch.setattr(
            "dermedge_runtime.devices.requirements.find_driver", lambda: Driver("999", (14, 0), cards)
        ),
        lambda: plugins.devices[0].device.metadata.update(Description="RTX 5090"),
        lambda: monkeypatch.setattr(trust, "network", lambda: b"another"),
    ]
    cards = (Card("RTX 4090", (8, 9)),)
    for count, change in enumerate(changes, start=2):
        change()
        for _ in range(2):
            open_session(CONTENT, "tiny.onnx", "rtx")
        assert _runs() == count
    assert len(_kept(tmp_path)) == len(changes) + 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "[" * 100_000,
        lambda text: "[]",
        lambda text: '{"made_for": {}, "differences": 3, "checksum": "0"}',
        lambda text: text.replace('"differences": {', '"differences": {"other": 0,'),
        lambda text: text.replace("RTX 4090", "RTX 4080"),
        lambda text: json.dumps({**json.loads(text), "differences": {"probabilities": 0.0, "explained": 0.0}}),
    ],
)
def test_a_damaged_record_is_made_again(
    machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    machine("rtx")
    monkeypatch.setattr(FakeSession, "off", OFF)
    open_session(CONTENT, "tiny.onnx")
    (path,) = _kept(tmp_path)
    whole = path.read_text()
    path.write_text(damage(whole))
    assert open_session(CONTENT, "tiny.onnx").provider.device == "cpu"
    assert _runs() == 2
    assert path.read_text() == whole


def test_a_record_of_other_bytes_than_text(machine, tmp_path: Path) -> None:
    machine("rtx")
    open_session(CONTENT, "tiny.onnx", "rtx")
    _kept(tmp_path)[0].write_bytes(b"\xff\x00")
    open_session(CONTENT, "tiny.onnx", "rtx")
    assert _runs() == 2


def test_a_folder_that_cannot_be_written_is_no_obstacle(
    machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    monkeypatch.setenv("DERMEDGE_CACHE", str(blocked))
    machine("openvino")
    monkeypatch.setattr(FakeSession, "off", OFF)
    for count in (1, 2):
        assert open_session(CONTENT, "tiny.onnx").provider.device == "cpu"
        assert _runs() == count


def test_a_device_that_does_not_run_the_comparison(
    machine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def fail(*given: Any) -> None:
        raise RuntimeError("no\n kernel")

    caplog.set_level("INFO", "dermedge_runtime")
    machine("rtx")
    monkeypatch.setattr(HonestSession, "run", fail)
    assert open_session(CONTENT, "tiny.onnx").provider.device == "cpu"
    assert "auto passes over rtx: it does not run: no kernel" in caplog.text
    assert open_session(CONTENT, "tiny.onnx", "rtx").provider.device == "rtx"
    assert "the answers of rtx could not be checked: no kernel" in caplog.text
    assert _kept(tmp_path) == []


def test_what_is_kept_can_be_forgotten(machine, tmp_path: Path) -> None:
    machine("rtx")
    open_session(CONTENT, "tiny.onnx", "rtx")
    trust.forget("cuda")
    assert len(_kept(tmp_path)) == 1
    trust.forget("rtx")
    trust.forget("rtx")
    assert _kept(tmp_path) == []


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_the_cpu_alone_pays_nothing(device: str, tmp_path: Path) -> None:
    script = f"""
import sys
from dermedge_runtime import Classifier
from dermedge_runtime.devices import starting
starting.find_spec = lambda name: None
import onnxruntime
onnxruntime.get_available_providers = lambda: ["CPUExecutionProvider"]
assert Classifier({str(TINY)!r}, {device!r}).device == "cpu"
names = ("trusted_answers", "trial_run", "trial_network")
print([name for name in names if "dermedge_runtime.devices." + name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
