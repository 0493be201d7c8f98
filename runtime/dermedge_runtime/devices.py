"""Choose an execution provider of ONNX Runtime, open a session on it, and verify that it is the one that runs.

Covered: CPU and CUDA (built into a wheel of ONNX Runtime), OpenVINO and TensorRT-RTX (plugins on the plain wheel).
A device that was asked for and cannot be had is an error with its mend, never a fallback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from .cpus import usable_cpus
from .errors import DermedgeError, DeviceUnavailable, ModelFileError


@dataclass(frozen=True, slots=True)
class Provider:
    """One execution provider: how it is called, where it comes from, how to install it."""

    device: str
    """The name users give: cpu, openvino, cuda, rtx."""
    name: str
    """ONNX Runtime's name."""
    extra: str
    """Extra of the distribution that installs it."""
    plugin: str | None = None
    """Module that carries the provider's library; None: built into the onnxruntime wheel."""
    drives: str = ""
    """Hardware that a plugin offers itself for."""


PROVIDERS = {
    provider.device: provider
    for provider in (
        Provider("rtx", "NvTensorRTRTXExecutionProvider", "rtx", "onnxruntime_ep_nv_tensorrt_rtx", "NVIDIA RTX cards"),
        Provider("cuda", "CUDAExecutionProvider", "cuda"),
        Provider("openvino", "OpenVINOExecutionProvider", "openvino", "onnxruntime_ep_openvino", "Intel hardware"),
        Provider("cpu", "CPUExecutionProvider", "cpu"),
    )
}
DEVICES = ("auto", *PROVIDERS)
# OpenVINO is left out until it is measured on hardware that it offers itself for; it is used when it is asked for.
_AUTO = ("rtx", "cuda", "cpu")
_registered: set[str] = set()
_MEND = "Check the driver and its libraries, or pass --device cpu."


def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime, which is an extra because its wheels exclude each other.

    :raises DermedgeError: not installed.
    """
    try:
        return import_module("onnxruntime")
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise DermedgeError(
            "onnxruntime is not installed. Run: pip install 'dermedge[cpu]' (or [openvino], [cuda], [rtx])."
        ) from error


def open_session(content: bytes, source: str, device: str = "auto", threads: int | None = None) -> tuple[Any, Provider]:
    """Open a session on a device.

    :param content: a checked ONNX file.
    :param device: one of `DEVICES`; auto takes the first of rtx, cuda and cpu that is installed and opens.
    :param threads: CPU threads of one prediction; by default the CPUs this process may use.
    :return: the `onnxruntime.InferenceSession` and the provider that really runs it.
    :raises DeviceUnavailable: the device cannot be had, or is unknown.
    :raises ModelFileError: ONNX Runtime refuses the graph.
    """
    if device not in DEVICES:
        raise DeviceUnavailable(f"Unknown device '{device}'; known are {', '.join(DEVICES)}.")
    if device != "auto":
        return _open(content, source, PROVIDERS[device], threads), PROVIDERS[device]
    for name in _AUTO[:-1]:
        try:
            return _open(content, source, PROVIDERS[name], threads), PROVIDERS[name]
        except DeviceUnavailable:
            continue
    return _open(content, source, PROVIDERS["cpu"], threads), PROVIDERS["cpu"]


def _open(content: bytes, source: str, provider: Provider, threads: int | None) -> Any:
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or usable_cpus()
    arguments: dict[str, Any] = {}
    if provider.plugin is None:
        if provider.name not in ort.get_available_providers():
            raise DeviceUnavailable(
                _missing(provider, f"the installed onnxruntime {ort.__version__} has no {provider.name}")
            )
        arguments["providers"] = [provider.name]
    else:
        options.add_provider_for_devices(_plugin_devices(ort, provider), {})
    try:
        session = ort.InferenceSession(content, sess_options=options, **arguments)
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        if provider.device == "cpu":
            raise ModelFileError(f"ONNX Runtime cannot load {source}: {_first_line(error)}") from error
        raise DeviceUnavailable(
            f"{provider.device} was requested, but did not start: {_first_line(error)}. {_MEND}"
        ) from error
    if provider.name not in session.get_providers()[:1]:
        raise DeviceUnavailable(
            f"{provider.device} was requested, but ONNX Runtime started with"
            f" {', '.join(session.get_providers())} instead."
            f" {_MEND}"
        )
    return session


def _plugin_devices(ort: ModuleType, provider: Provider) -> Sequence[Any]:
    assert provider.plugin is not None
    if find_spec(provider.plugin) is None:
        raise DeviceUnavailable(_missing(provider, f"the package {provider.plugin.replace('_', '-')} is not installed"))
    if provider.name not in _registered:
        try:
            ort.register_execution_provider_library(provider.name, import_module(provider.plugin).get_library_path())
        except Exception as error:  # as above
            raise DeviceUnavailable(
                f"{provider.device} was requested, but its plugin did not load: {_first_line(error)}. {_MEND}"
            ) from error
        _registered.add(provider.name)
    devices = [device for device in ort.get_ep_devices() if device.ep_name == provider.name]
    if provider.device == "openvino":
        devices = [device for device in devices if device.ep_metadata.get("ov_device", "CPU") == "CPU"]
    if not devices:
        raise DeviceUnavailable(
            f"{provider.device} was requested, but its plugin finds no device it can drive here:"
            f" it drives {provider.drives}. {_MEND}"
        )
    return devices


def _missing(provider: Provider, cause: str) -> str:
    other = "pip uninstall -y onnxruntime && " if provider.device == "cuda" else ""
    mend = f"Run: {other}pip install 'dermedge[{provider.extra}]', or pass --device cpu."
    return f"{provider.device} was requested, but {cause}. {mend}"


def _first_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
