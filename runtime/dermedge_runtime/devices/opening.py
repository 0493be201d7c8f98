"""Choose an execution provider of ONNX Runtime, open a session on it, and verify that it is the one that runs.

Covered: CPU, CUDA and TensorRT (built into a wheel of ONNX Runtime), OpenVINO and TensorRT-RTX (plugins on the plain
wheel). A device that was asked for and cannot be had is an error with its cause and mend, never a fallback.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dermedge_runtime.errors import DermedgeError, DeviceUnavailable, ModelFileError, UsageError
from dermedge_runtime.model.strict_json import printable

from .cpu_instructions import cpu_name
from .providers import AUTO, DEVICES, DRIVER_MEND, FIXED_SIZE_MEND, NO_ANTIALIAS, PROVIDERS, Provider, refusal
from .session import DeviceSession
from .telemetry import warn_if_too_late
from .usable_cpus import usable_cpus

if TYPE_CHECKING:
    from .kernel_cache import KernelCache

__all__ = ["DEVICES", "PROVIDERS", "Provider", "import_onnxruntime", "is_installed", "open_session"]
_registered: set[str] = set()


@dataclass(frozen=True, slots=True)
class _Job:
    """What is to be opened, and how."""

    content: bytes
    source: str
    threads: int | None
    cuda_graphs: bool
    keep_kernels: bool
    widen_int8: bool
    antialias: bool
    compare: bool


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a provider will run."""

    hardware: str
    version: str
    driver: str = ""
    devices: Sequence[Any] = ()
    """`onnxruntime.OrtEpDevice` of a plugin."""


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


def open_session(
    content: bytes,
    source: str,
    device: str = "auto",
    threads: int | None = None,
    *,
    cuda_graphs: bool = False,
    keep_kernels: bool = True,
    widen_int8: bool = False,
    antialias: bool = False,
    compare: bool = True,
) -> DeviceSession:
    """Open a session on a device.

    The answers of every device but the CPU are compared with numpy's once (`trusted_answers`): auto passes over one
    that is off, one that was named runs with a warning on the log.

    :param content: a checked ONNX file.
    :param device: one of `DEVICES`; auto takes the first of rtx, cuda, openvino and cpu that is installed, opens
        and answers right.
    :param threads: CPU threads of one prediction; by default the CPUs this process may use.
    :param cuda_graphs: capture one CUDA graph per batch size and replay it; only where the whole model runs on the
        card.
    :param keep_kernels: keep compiled kernels in the user's cache folder, where the provider compiles any.
    :param widen_int8: on CPUs without VNNI compute INT8 slower, in sums that are never cut off; for files whose weights
        need it (`ModelSpec.saturates`).
    :param antialias: the graph resizes pictures of any size (`ImageSpec.any_size`), which TensorRT cannot.
    :param compare: False for the comparison itself.
    :return: the session, with the provider that really runs it.
    :raises DeviceUnavailable: the device cannot be had, or is unknown, or cannot run the model as a CUDA graph.
    :raises UsageError: CUDA graphs were asked for on auto, or on a device that has none.
    :raises ModelFileError: ONNX Runtime refuses the graph.
    """
    if device not in DEVICES:
        raise DeviceUnavailable(f"Unknown device '{device}'; known are {', '.join(DEVICES)}.")
    if cuda_graphs and (device == "auto" or PROVIDERS[device].graph_option is None):
        having = ", ".join(provider.device for provider in PROVIDERS.values() if provider.graph_option)
        raise UsageError(f"CUDA graphs are for a device that you name and that has them: {having}; got {device}.")
    job = _Job(content, source, threads, cuda_graphs, keep_kernels, widen_int8, antialias, compare)
    if device != "auto":
        return _open(job, PROVIDERS[device])
    for name in AUTO[:-1]:
        if not _is_candidate(PROVIDERS[name]):
            continue
        try:
            return _open(job, PROVIDERS[name], named=False)
        except DeviceUnavailable as error:
            import logging

            logging.getLogger(__name__).info("auto passes over %s: %s", name, error.cause)
    return _open(job, PROVIDERS["cpu"])


def _is_candidate(provider: Provider) -> bool:
    """Say whether auto should try: what is not installed, and OpenVINO on another CPU than Intel's, is no news."""
    if not is_installed(provider):
        return False
    if provider.device != "openvino":
        return True
    from .requirements import foreign_cpu

    return foreign_cpu(import_onnxruntime()) is None


def _open(job: _Job, provider: Provider, *, named: bool = True) -> DeviceSession:
    if job.antialias and not provider.antialias:
        raise refusal(provider, f"{job.source} takes pictures of any size, and {NO_ANTIALIAS}", FIXED_SIZE_MEND)
    ort = import_onnxruntime()
    target = _target(ort, provider)
    made_for = {"version": target.version, "driver": target.driver, "hardware": target.hardware}
    compare = job.compare and provider.device != "cpu"
    if compare and not named:
        from .trusted_answers import require_right

        require_right(provider, made_for)
    cache = None
    if provider.cache is None or not job.keep_kernels:
        session = _start(ort, job, provider, target, None)
    else:
        from .kernel_cache import open_cache, start_with

        cache = open_cache(provider.device, job.content, job.source, made_for)
        session = start_with(cache, lambda cache: _start(ort, job, provider, target, cache))
    opened = DeviceSession(session, provider, target.version, target.hardware, job.cuda_graphs, cache)
    if compare and named:
        # After the model: what keeps the device from starting is told as an error.
        from .trusted_answers import warn_if_wrong

        warn_if_wrong(provider, made_for)
    return opened


def _start(ort: ModuleType, job: _Job, provider: Provider, target: _Target, cache: KernelCache | None) -> Any:
    options = ort.SessionOptions()
    # A provider that goes on without CUDA graphs says so in a warning of its own.
    options.log_severity_level = 2 if job.cuda_graphs else 4
    options.intra_op_num_threads = job.threads or usable_cpus()
    if job.widen_int8 and _cuts_sums_off():
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


def _cuts_sums_off() -> bool:
    """Try it: with VNNI wide sums are not needed and take 1.7 times as long, and an emulator's /proc is the host's."""
    from .trial_run import saturates

    return saturates()


def _target(ort: ModuleType, provider: Provider) -> _Target:
    """Find out where the provider will run.

    :raises DeviceUnavailable: it is not installed, or something that it needs is missing.
    """
    version = f"{getattr(ort, 'package_name', None) or 'onnxruntime'} {ort.__version__}"
    if provider.plugin is not None:
        return _plugin_target(ort, provider, version)
    if not is_installed(provider):
        raise _not_installed(provider, f"the installed onnxruntime {ort.__version__} has no {provider.name}")
    if not provider.nvidia:
        return _Target(cpu_name(), version)
    from .requirements import require_card, require_library

    driver, card = require_card(provider, ort)
    require_library(provider, ort)
    return _Target(card.name, version, driver.version)


def _plugin_target(ort: ModuleType, provider: Provider, version: str) -> _Target:
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
    return _Target(
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
