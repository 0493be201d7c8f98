"""OpenVINO and TensorRT-RTX are plugins: registered once, given their own devices, never replaced silently."""

from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from device_refusal import CONTENT, MEND, unavailable
from fake_onnxruntime import DRIVER, FakePlugins, FakeSession
from make_tiny_model import SIZE, TINY

from dermedge_runtime import Classifier, DeviceUnavailable
from dermedge_runtime.devices.opening import open_session
from dermedge_runtime.devices.providers import PROVIDERS


def test_openvino_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermedge_runtime.devices.starting.find_spec", lambda name: None)
    assert "Run: pip install 'dermedge[openvino]', or pass --device cpu." in unavailable("openvino")


def test_rtx_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("onnxruntime_ep_nv_tensorrt_rtx"):
        pytest.skip("the TensorRT-RTX plugin is installed")
    monkeypatch.setattr("dermedge_runtime.devices.installed.versions", lambda names: {"onnxruntime": "1.99.0"})
    assert unavailable("rtx") == (
        "rtx was requested, but the package onnxruntime-ep-nv-tensorrt-rtx is not installed."
        " Run: pip install 'dermedge[rtx]', or pass --device cpu."
    )


def test_a_plugin_beside_the_gpu_wheel_is_mended_without_a_clash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermedge_runtime.devices.starting.find_spec", lambda name: None)
    monkeypatch.setattr("dermedge_runtime.devices.installed.versions", lambda names: {"onnxruntime-gpu": "1.99.0"})
    assert "Run: pip uninstall -y onnxruntime-gpu && pip install 'dermedge[rtx]', or" in unavailable("rtx")


def test_a_plugin_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = SimpleNamespace(get_library_path=lambda: "no_such_library.so")
    monkeypatch.setattr("dermedge_runtime.devices.starting.find_spec", lambda name: plugin)
    monkeypatch.setattr("dermedge_runtime.devices.starting.import_module", lambda name: plugin)
    monkeypatch.setattr("dermedge_runtime.devices.starting.import_onnxruntime", lambda: onnxruntime)
    monkeypatch.setattr("dermedge_runtime.devices.starting._registered", set())
    monkeypatch.setattr("dermedge_runtime.devices.requirements.find_driver", lambda: DRIVER)
    text = unavailable("rtx")
    assert text.startswith("rtx was requested, but its plugin did not load: ")
    assert "Run: pip install --force-reinstall 'dermedge[rtx]'" in text
    assert MEND in text
    plugin.get_library_path = lambda: "libnvidia-ml.so.1"
    assert "Check the driver and its libraries" in unavailable("rtx")


def test_openvino_runs_and_agrees_with_cpu() -> None:
    if find_spec("onnxruntime_ep_openvino") is None:
        pytest.skip("the OpenVINO plugin is not installed")
    try:
        openvino = Classifier(TINY, "openvino")
    except DeviceUnavailable as error:
        if "finds no device" not in str(error) or any(
            device.ep_name == PROVIDERS["openvino"].name for device in onnxruntime.get_ep_devices()
        ):
            raise
        pytest.skip("the OpenVINO plugin drives no device of this machine (Intel only)")
    cpu = Classifier(TINY, "cpu")
    image = np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    cases: list[dict[str, Any]] = [{}, {"age": 0, "sex": "male", "site": "lower extremity"}, {"age": 90}]
    for case in cases:
        result = openvino.predict(image, **case)
        assert (result.device, result.provider) == ("openvino", "OpenVINOExecutionProvider")
        assert result.probabilities == pytest.approx(cpu.predict(image, **case).probabilities, abs=1e-3)


@pytest.mark.parametrize("device", ["openvino", "rtx"])
def test_a_plugin_is_registered_once_and_given_its_own_devices(
    fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    name = PROVIDERS[device].name
    plugins = FakePlugins(("CPUExecutionProvider", {}), (name, {"ov_device": "CPU"}))
    plugins.install(monkeypatch)
    monkeypatch.setattr(fake, "claims", (name, "CPUExecutionProvider"))
    for _ in range(2):
        assert open_session(CONTENT, "tiny.onnx", device).provider == PROVIDERS[device]
    assert plugins.registered == [(name, "plugin.so")]
    assert plugins.added == [plugins.devices[1]] * 3  # the model twice, the comparison once
    assert all("providers" not in options for options in fake.opened)


def test_rtx_names_the_card_the_plugin_and_keeps_its_kernels(
    fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = PROVIDERS["rtx"].name
    plugins = FakePlugins((name, {"version": "0.5.0"}))
    plugins.install(monkeypatch)
    monkeypatch.setattr(fake, "claims", (name,))
    opened = open_session(CONTENT, "tiny.onnx", "rtx", cuda_graphs=True)
    assert opened.version == "onnxruntime 1.99.0, onnxruntime-ep-nv-tensorrt-rtx 0.5.0"
    assert opened.hardware == "RTX 4090"
    assert set(plugins.settings[0]) == {"nv_runtime_cache_path", "enable_cuda_graph"}
    assert plugins.entries == {"session.disable_cpu_ep_fallback": "1"}


def test_a_plugin_that_names_its_device(fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch) -> None:
    name = PROVIDERS["openvino"].name
    plugins = FakePlugins((name, {"ov_device": "CPU"}))
    plugins.devices[0].device.metadata = {"Description": "Intel Core Ultra 7"}
    plugins.install(monkeypatch)
    monkeypatch.setattr(fake, "claims", (name,))
    opened = open_session(CONTENT, "tiny.onnx", "openvino", keep_kernels=False)
    assert opened.hardware == "Intel Core Ultra 7"
    assert plugins.settings == [{}] * 2  # the model and the comparison


def test_openvino_on_another_cpu_is_refused_without_loading_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    plugins = FakePlugins(("CPUExecutionProvider", {}))
    plugins.devices[0].device = SimpleNamespace(vendor="AMD", vendor_id=0x1022, metadata={})
    plugins.install(monkeypatch)
    assert "it drives Intel hardware, and this CPU is from AMD" in unavailable("openvino")
    assert plugins.registered == []


def test_auto_says_nothing_about_openvino_on_another_cpu(
    fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dermedge_runtime")
    plugins = FakePlugins(("CPUExecutionProvider", {}))
    plugins.devices[0].device = SimpleNamespace(vendor="AMD", vendor_id=0x1022, metadata={})
    plugins.install(monkeypatch)
    assert open_session(CONTENT, "tiny.onnx").provider.device == "cpu"
    assert [message.partition(":")[0] for message in caplog.messages] == ["auto passes over rtx"]
    assert [path for _, path in plugins.registered] == ["plugin.so"]


@pytest.mark.parametrize(("working", "taken"), [(("rtx", "openvino"), "rtx"), (("openvino",), "openvino")])
def test_auto_takes_the_first_that_really_opens(
    fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch, working: tuple[str, ...], taken: str
) -> None:
    plugins = FakePlugins(*((PROVIDERS[device].name, {}) for device in working))
    plugins.install(monkeypatch)
    monkeypatch.setattr(fake, "claims", (PROVIDERS[taken].name,))
    assert open_session(CONTENT, "tiny.onnx").provider.device == taken


def test_openvino_is_kept_to_the_cpu(fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch) -> None:
    name = PROVIDERS["openvino"].name
    plugins = FakePlugins(*((name, {"ov_device": kind}) for kind in ("GPU", "CPU", "NPU")))
    plugins.install(monkeypatch)
    monkeypatch.setattr(fake, "claims", (name,))
    open_session(CONTENT, "tiny.onnx", "openvino")
    assert plugins.added == [plugins.devices[1]] * 2  # the model and the comparison


@pytest.mark.parametrize("device", ["openvino", "rtx"])
def test_a_plugin_without_a_device_here(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    FakePlugins(("CPUExecutionProvider", {})).install(monkeypatch)
    text = unavailable(device)
    assert text.startswith(f"{device} was requested, but its plugin finds no device it can drive here")
    assert MEND in text


def test_a_plugin_that_silently_falls_back_is_refused(fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch) -> None:
    FakePlugins((PROVIDERS["rtx"].name, {})).install(monkeypatch)
    assert fake.claims == ("CPUExecutionProvider",)
    assert unavailable("rtx").startswith("rtx was requested, but ONNX Runtime started with CPUExecutionProvider")
