"""Start a session of ONNX Runtime on one execution provider, and verify that it is the one that runs.

Covered: CPU, CUDA and TensorRT (built into a wheel of ONNX Runtime), OpenVINO and TensorRT-RTX (plugins on the plain
wheel). A device that cannot be had is an error with its cause and mend, never a fallback. Not covered: choosing a
device, and whether its answers are right (`opening`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dermedge_runtime.errors import DermedgeError, DeviceUnavailable, ModelFileError
from dermedge_runtime.model.strict_json import printable

from .cpu_instructions import cpu_name
from .providers import DRIVER_MEND, Provider, refusal
from .telemetry import warn_if_too_late
from .usable_cpus import usable_cpus

if TYPE_CHECKING:
    from .kernel_cache import KernelCache

_registered: set[str] = set()


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be started, and how."""

    content: bytes
    """A checked ONNX file."""
    source: str
    """Its name, for messages."""
    threads: int | None = None
    """CPU threads of one prediction; None: the CPUs this process may use."""
    cuda_graphs: bool = False
    widen_int8: bool = False
    """On a CPU compute INT8 slower, in sums that are never cut off."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a provider will run."""

    hardware: str
    """Name of the card or CPU."""
    version: str
    """Of ONNX Runtime's wheel and of the plugin."""
    driver: str = ""
    devices: Sequence[Any] = ()
    """`onnxruntime.OrtEpDevice` of a plugin."""

    @property
    def made_for(self) -> dict[str, str]:
        """What a result that is kept about this place holds for."""
        return {"version": self.version, "driver": self.driver, "hardware": self.hardware}


def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime, which is an extra because its wheels exclude each other.

    :raises DermedgeError: it is not installed, or only in part, or does not load.
    """
    try:
        ort = import_module("onnxruntime")
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise DermedgeError(
            "onnxruntime is not installed. Run: pip install 'dermedge[cpu]' (or [openvino], [cuda], [rtx])."
        ) from error
    except ImportError as error:
        raise DermedgeError(
            f"onnxruntime does not load: {_first_line(error)}. Run: pip install --force-reinstall 'dermedge[cpu]'"
            " (or [openvino], [cuda], [rtx])."
        ) from error
    if not hasattr(ort, "InferenceSession"):
        # What is left when one of two wheels in the same folder is uninstalled.
        raise DermedgeError(
            "onnxruntime is installed without its files. Run: pip uninstall -y onnxruntime onnxruntime-gpu &&"
            " pip install 'dermedge[cpu]' (or [openvino], [cuda], [rtx])."
        )
    warn_if_too_late(ort)
    return ort


def is_installed(provider: Provider) -> bool:
    """Say whether the provider's package is there, without loading it.

    :raises DermedgeError: ONNX Runtime itself is not there.
    """
    ort = import_onnxruntime()
    if provider.plugin is None:
        return provider.name in ort.get_available_providers()
    return find_spec(provider.plugin) is not None


def is_candidate(provider: Provider) -> bool:
    """Say whether auto should try: what is not installed, and OpenVINO on another CPU than Intel's, is no news."""
    if not is_installed(provider):
        return False
    if provider.device != "openvino":
        return True
    from .requirements import foreign_cpu

    return foreign_cpu(import_onnxruntime()) is None


def find_target(provider: Provider) -> Target:
    """Find out where the provider will run.

    :raises DeviceUnavailable: it is not installed, or something that it needs is missing.
    """
    ort = import_onnxruntime()
    version = f"{getattr(ort, 'package_name', None) or 'onnxruntime'} {ort.__version__}"
    if provider.plugin is not None:
        return _plugin_target(ort, provider, version)
    if not is_installed(provider):
        raise _not_installed(provider, f"the installed onnxruntime {ort.__version__} has no {provider.name}")
    if not provider.nvidia:
        return Target(cpu_name(), version)
    from .requirements import require_card, require_library

    driver, card = require_card(provider, ort)
    require_library(provider, ort)
    return Target(card.name, version, driver.version)


def start(job: Job, provider: Provider, target: Target, cache: KernelCache | None = None) -> Any:
    """Start a session.

    :param target: from `find_target`.
    :param cache: where the provider keeps its compiled kernels; None: nowhere.
    :return: an `onnxruntime.InferenceSession`.
    :raises DeviceUnavailable: it does not start, or runs on something else.
    :raises ModelFileError: ONNX Runtime refuses the graph.
    """
    ort = import_onnxruntime()
    options = ort.SessionOptions()
    # A provider that goes on without CUDA graphs says so in a warning of its own.
    options.log_severity_level = 2 if job.cuda_graphs else 4
    options.intra_op_num_threads = job.threads or usable_cpus()
    if job.widen_int8:
        options.add_session_config_entry("session.x64quantprecision", "1")
    settings = {} if cache is None or provider.cache is None else provider.cache(cache.folder)
    if job.cuda_graphs and provider.graph_option is not None:
        settings[provider.graph_option] = "1"
        if provider.plugin is not None:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    arguments: dict[str, Any] = {}
    if provider.plugin is None:
        arguments["providers"] = [(provider.name, settings) if settings else provider.name, *provider.behind]
        # Else ONNX Runtime's Python layer prints to standard output and starts on the CPU.
        arguments["enable_fallback"] = 0
    else:
        options.add_provider_for_devices(target.devices, settings)
    try:
        session = ort.InferenceSession(job.content, sess_options=options, **arguments)
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        if provider.device == "cpu":
            raise ModelFileError(f"ONNX Runtime cannot load {job.source}: {_first_line(error)}") from error
        mend = "Leave CUDA graphs out" if job.cuda_graphs else DRIVER_MEND
        raise refusal(provider, f"did not start: {_first_line(error)}", mend) from error
    if provider.name not in session.get_providers()[:1]:
        found = ", ".join(session.get_providers())
        raise refusal(provider, f"ONNX Runtime started with {found} instead", DRIVER_MEND)
    return session


def _plugin_target(ort: ModuleType, provider: Provider, version: str) -> Target:
    assert provider.plugin is not None
    package = provider.plugin.replace("_", "-")
    if not is_installed(provider):
        raise _not_installed(provider, f"the package {package} is not installed")
    from .requirements import require_card, require_intel

    driver = card = None
    if provider.nvidia:
        driver, card = require_card(provider, ort)
    else:
        require_intel(provider, ort)
    device = _plugin_device(ort, provider)
    number = device.ep_metadata.get("version", "")
    return Target(
        hardware=device.device.metadata.get("Description") or (card.name if card else cpu_name()),
        version=f"{version}, {package} {number}".rstrip(),
        driver=driver.version if driver else "",
        devices=[device],
    )


def _not_installed(provider: Provider, cause: str) -> DeviceUnavailable:
    from .installed import install_command, wheel_conflict

    if provider.plugin is None and (conflict := wheel_conflict(provider.extra)):
        return refusal(provider, *conflict)
    wheel = "onnxruntime-gpu" if provider.plugin is None and provider.nvidia else "onnxruntime"
    return refusal(provider, cause, install_command(provider.extra, wheel), installed=False)


def _plugin_device(ort: ModuleType, provider: Provider) -> Any:
    """Register the plugin once and give the first device that it offers itself for."""
    if provider.name not in _registered:
        try:
            path = import_module(str(provider.plugin)).get_library_path()
            ort.register_execution_provider_library(provider.name, path)
        except Exception as error:  # as above
            text = _first_line(error)
            # libcuda and libnvidia-ml come with the driver, everything else with the package.
            part = provider.nvidia and ("libcuda." in text or "libnvidia-" in text)
            mend = DRIVER_MEND if part else f"Run: pip install --force-reinstall 'dermedge[{provider.extra}]'"
            raise refusal(provider, f"its plugin did not load: {text}", mend) from error
        _registered.add(provider.name)
    devices = [device for device in ort.get_ep_devices() if device.ep_name == provider.name]
    if provider.device == "openvino":
        devices = [device for device in devices if device.ep_metadata.get("ov_device", "CPU") == "CPU"]
    if not devices:
        cause = f"its plugin finds no device it can drive here: it drives {provider.drives}"
        raise refusal(provider, cause, DRIVER_MEND)
    return devices[0]


def _first_line(error: BaseException) -> str:
    return printable(str(error))
