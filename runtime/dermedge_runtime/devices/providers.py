"""The table of execution providers: how each is called, where it comes from, and what it can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dermedge_runtime.errors import DeviceUnavailable

Capability = tuple[int, int]
"""Compute capability of an NVIDIA card, such as (8, 9)."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One execution provider of ONNX Runtime."""

    device: str
    """The name users give: cpu, openvino, cuda, tensorrt, rtx."""
    name: str
    """ONNX Runtime's name."""
    extra: str
    """Extra of the distribution that installs it."""
    plugin: str | None = None
    """Module that carries the provider's library; None: built into the onnxruntime wheel."""
    drives: str = ""
    """Hardware that a plugin offers itself for."""
    nvidia: bool = False
    """Needs NVIDIA's driver."""
    capabilities: tuple[Capability, ...] = ()
    """Compute capabilities that it drives; the last one stands for all newer ones too. Empty: not checked."""
    antialias: bool = True
    """Whether it takes a Resize that averages where it shrinks, as in a file for pictures of any size.

    TensorRT's parser refuses it. OpenVINO takes it and does not average, which changes nothing here: the runtime feeds
    pictures of the graph's own size.
    """
    library: str | None = None
    """Name of its library in the wheel, without prefix and suffix."""
    helpers: tuple[str, ...] = ()
    """Modules whose import loads libraries that it needs."""
    behind: tuple[str, ...] = ()
    """Providers that take the operators it leaves."""
    cache: Callable[[Path], dict[str, str]] | None = None
    """Options that keep its compiled kernels in a folder; None: it keeps none."""
    memory: str | None = None
    """ONNX Runtime's name of the memory that inputs and outputs can be bound to; None: it copies in every run."""
    always_binds: bool = False
    """Bind inputs and outputs always, not only for CUDA graphs."""
    graph_option: str | None = None
    """Option that turns CUDA graphs on; None: it has none."""
    graph_ids: tuple[str, ...] = ("gpu_graph_id",)
    """Run options that name a captured graph; -1 is a run without capture."""


def _rtx_cache(folder: Path) -> dict[str, str]:
    return {"nv_runtime_cache_path": str(folder)}


def _tensorrt_cache(folder: Path) -> dict[str, str]:
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(folder),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(folder),
    }


def _openvino_cache(folder: Path) -> dict[str, str]:
    import json

    return {"load_config": json.dumps({"CACHE_DIR": str(folder)})}


_CUDA = "CUDAExecutionProvider"
PROVIDERS = {
    provider.device: provider
    for provider in (
        Provider(
            device="rtx",
            name="NvTensorRTRTXExecutionProvider",
            extra="rtx",
            plugin="onnxruntime_ep_nv_tensorrt_rtx",
            drives="NVIDIA RTX cards",
            nvidia=True,
            capabilities=((8, 6), (8, 9), (12, 0)),
            antialias=False,
            cache=_rtx_cache,
            memory="cuda",
            graph_option="enable_cuda_graph",
            graph_ids=("gpu_graph_id", "cuda_graph_annotation_id"),
        ),
        Provider(
            device="cuda",
            name=_CUDA,
            extra="cuda",
            nvidia=True,
            library="onnxruntime_providers_cuda",
            memory="cuda",
            always_binds=True,
            graph_option="enable_cuda_graph",
        ),
        Provider(
            device="tensorrt",
            name="TensorrtExecutionProvider",
            extra="tensorrt",
            nvidia=True,
            antialias=False,
            library="onnxruntime_providers_tensorrt",
            helpers=("tensorrt_libs",),
            behind=(_CUDA,),
            cache=_tensorrt_cache,
            memory="cuda",
            always_binds=True,
            graph_option="trt_cuda_graph_enable",
        ),
        Provider(
            device="openvino",
            name="OpenVINOExecutionProvider",
            extra="openvino",
            plugin="onnxruntime_ep_openvino",
            drives="Intel hardware",
            cache=_openvino_cache,
        ),
        Provider(device="cpu", name="CPUExecutionProvider", extra="cpu"),
    )
}
DEVICES = ("auto", *PROVIDERS)
# TensorRT is used when it is asked for only: the engine of a new model takes minutes to build.
AUTO = ("rtx", "cuda", "openvino", "cpu")
NO_ANTIALIAS = "TensorRT has no resizing with antialias"
FIXED_SIZE_MEND = "Export it again without --any-size"
DRIVER_MEND = "Check the driver and its libraries"


def refusal(provider: Provider, cause: str, mend: str, *, installed: bool = True) -> DeviceUnavailable:
    """Make the error that says why a device that was asked for cannot be had.

    :param cause: follows "was requested, but", without a full stop.
    :param mend: a sentence without its full stop.
    :param installed: False where nothing of the device is installed, which is no news to one who asked for auto.
    """
    text = f"{provider.device} was requested, but {cause}. {mend}, or pass --device cpu."
    return DeviceUnavailable(text, cause=cause, mend=mend, installed=installed)
