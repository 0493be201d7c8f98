"""The device that was asked for is the one that runs; if it cannot be had, the error says how to get it."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import onnxruntime
import pytest
from device_refusal import CONTENT, MEND, unavailable
from fake_onnxruntime import DRIVER, FakeSession
from make_tiny_model import TINY, build

from dermedge_runtime import Classifier, DermedgeError, DeviceUnavailable, ModelFileError, UsageError
from dermedge_runtime.devices.cpu_instructions import cpu_name
from dermedge_runtime.devices.opening import open_session
from dermedge_runtime.devices.providers import DEVICES, PROVIDERS
from dermedge_runtime.devices.starting import import_onnxruntime

CUDA = PROVIDERS["cuda"].name


@pytest.fixture
def cuda_in_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a card, its driver, and all libraries of CUDA."""
    monkeypatch.setattr("dermedge_runtime.devices.requirements.find_driver", lambda: DRIVER)
    monkeypatch.setattr("dermedge_runtime.devices.requirements.missing_library", lambda path: None)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, "CPUExecutionProvider"])


def test_device_names() -> None:
    assert DEVICES == ("auto", "rtx", "cuda", "tensorrt", "openvino", "cpu")


def test_cpu_runs() -> None:
    opened = open_session(CONTENT, "tiny.onnx", "cpu")
    assert opened.session.get_providers() == ["CPUExecutionProvider"]
    assert (opened.provider.device, opened.provider.name) == ("cpu", "CPUExecutionProvider")
    assert opened.version == f"{onnxruntime.package_name} {onnxruntime.__version__}"
    assert opened.hardware == cpu_name() != ""


@pytest.mark.parametrize("device", ["gpu", "CPU", ""])
def test_an_unknown_device(device: str) -> None:
    assert unavailable(device) == f"Unknown device '{device}'; known are auto, rtx, cuda, tensorrt, openvino, cpu."


def test_cuda_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    if CUDA in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    monkeypatch.setattr("dermedge_runtime.devices.installed.versions", lambda names: {"onnxruntime": "1.99.0"})
    assert unavailable("cuda") == (
        f"cuda was requested, but the installed onnxruntime {onnxruntime.__version__} has no CUDAExecutionProvider."
        " Run: pip uninstall -y onnxruntime && pip install 'dermedge[cuda]', or pass --device cpu."
    )


@pytest.mark.usefixtures("cuda_in_the_wheel")
def test_a_silent_fallback_is_refused(fake: type[FakeSession]) -> None:
    assert unavailable("cuda") == (
        "cuda was requested, but ONNX Runtime started with CPUExecutionProvider instead."
        " Check the driver and its libraries, or pass --device cpu."
    )
    assert fake.opened[0]["providers"] == [CUDA]
    assert fake.opened[0]["enable_fallback"] == 0


@pytest.mark.usefixtures("cuda_in_the_wheel")
def test_a_provider_that_stands_second_is_no_help(fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "claims", ("CPUExecutionProvider", CUDA))
    assert "started with CPUExecutionProvider, CUDAExecutionProvider instead" in unavailable("cuda")


@pytest.mark.usefixtures("cuda_in_the_wheel")
def test_a_session_that_does_not_open_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(content: bytes, **options: Any) -> None:
        raise RuntimeError("no CUDA-capable\n device is detected")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    text = unavailable("cuda")
    assert text.startswith("cuda was requested, but did not start: no CUDA-capable device is detected")
    assert MEND in text


@pytest.mark.usefixtures("cuda_in_the_wheel")
def test_auto_takes_cuda_when_it_really_runs(fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermedge_runtime.devices.starting.find_spec", lambda name: None)
    monkeypatch.setattr(fake, "claims", (CUDA, "CPUExecutionProvider"))
    assert open_session(CONTENT, "tiny.onnx").provider == PROVIDERS["cuda"]


def test_auto_passes_over_a_device_without_antialias(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    installed = {"rtx", "cpu"}
    monkeypatch.setattr("dermedge_runtime.devices.starting.is_installed", lambda provider: provider.device in installed)
    caplog.set_level("INFO", "dermedge_runtime")
    assert open_session(CONTENT, "any.onnx", "auto", antialias=True).provider == PROVIDERS["cpu"]
    assert "auto passes over rtx: any.onnx takes pictures of any size, and TensorRT has no" in caplog.text


@pytest.mark.usefixtures("cuda_in_the_wheel")
def test_auto_names_cpu_when_cuda_falls_back(
    fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dermedge_runtime")
    monkeypatch.setattr("dermedge_runtime.devices.starting.find_spec", lambda name: None)
    assert open_session(CONTENT, "tiny.onnx", "auto").provider == PROVIDERS["cpu"]
    assert [options["providers"] for options in fake.opened] == [[CUDA], ["CPUExecutionProvider"]]
    assert "auto passes over cuda: ONNX Runtime started with CPUExecutionProvider instead" in caplog.text


def test_a_graph_that_onnxruntime_refuses() -> None:
    model = build()
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ModelFileError, match=r"^ONNX Runtime cannot load x\.onnx: .*NoSuchOperator"):
        open_session(model.SerializeToString(), "x.onnx", "cpu")


@pytest.mark.parametrize(("threads", "expected"), [(None, 3), (1, 1), (2, 2)])
def test_threads_are_those_asked_for_or_the_usable_cpus(
    fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch, threads: int | None, expected: int
) -> None:
    monkeypatch.setattr("dermedge_runtime.devices.starting.usable_cpus", lambda: 3)
    open_session(CONTENT, "tiny.onnx", "cpu", threads)
    assert fake.opened[0]["sess_options"].intra_op_num_threads == expected


@pytest.mark.parametrize("device", ["auto", "cpu", "openvino"])
def test_cuda_graphs_on_a_device_without(device: str) -> None:
    with pytest.raises(UsageError, match=f"that has them: rtx, cuda, tensorrt; got {device}"):
        Classifier(TINY, device, cuda_graphs=True)


@pytest.mark.usefixtures("cuda_in_the_wheel")
def test_cuda_graphs_are_an_option_of_the_provider(fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fake, "claims", (CUDA,))
    open_session(CONTENT, "tiny.onnx", "cuda", cuda_graphs=True)
    assert fake.opened[0]["providers"] == [(CUDA, {"enable_cuda_graph": "1"})]
    assert fake.opened[0]["sess_options"].log_severity_level == 2


@pytest.mark.usefixtures("cuda_in_the_wheel")
def test_a_model_that_is_no_cuda_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(content: bytes, **options: Any) -> None:
        raise RuntimeError("not all nodes are partitioned to CUDA")

    monkeypatch.setattr(onnxruntime, "InferenceSession", fail)
    with pytest.raises(DeviceUnavailable, match=r"not all nodes .* Leave CUDA graphs out, or pass --device cpu\.$"):
        open_session(CONTENT, "tiny.onnx", "cuda", cuda_graphs=True)


@pytest.mark.usefixtures("cuda_in_the_wheel")
def test_tensorrt_leaves_the_rest_to_cuda_and_keeps_its_engines(
    fake: type[FakeSession], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tensorrt = PROVIDERS["tensorrt"].name
    monkeypatch.setenv("DERMEDGE_CACHE", str(tmp_path))
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [tensorrt, CUDA])
    monkeypatch.setattr(fake, "claims", (tensorrt, CUDA))
    opened = open_session(CONTENT, "tiny.onnx", "tensorrt")
    (name, settings), behind = fake.opened[0]["providers"]
    assert (name, behind) == (tensorrt, CUDA)
    assert Path(settings["trt_engine_cache_path"]).parent == tmp_path / "kernels"
    assert opened.hardware == "RTX 4090"


def test_onnxruntime_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DermedgeError, match=r"^onnxruntime is not installed\. Run: pip install 'dermedge\[cpu\]'"):
        import_onnxruntime()


def test_onnxruntime_without_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dermedge_runtime.devices.starting.import_module", lambda name: ModuleType(name))
    with pytest.raises(
        DermedgeError, match=r"without its files\. Run: pip uninstall -y onnxruntime onnxruntime-gpu &&"
    ):
        import_onnxruntime()


def test_onnxruntime_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ImportError("DLL load failed")

    monkeypatch.setattr("dermedge_runtime.devices.starting.import_module", fail)
    with pytest.raises(DermedgeError, match=r"^onnxruntime does not load: DLL load failed\. Run: pip install"):
        import_onnxruntime()


def test_onnxruntime_that_is_broken_inside_shows_the_true_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError("No module named 'flatbuffers'", name="flatbuffers")

    monkeypatch.setattr("dermedge_runtime.devices.starting.import_module", fail)
    with pytest.raises(ModuleNotFoundError, match="flatbuffers"):
        import_onnxruntime()
