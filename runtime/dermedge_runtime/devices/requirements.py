"""Checks before a device is opened, so that the true cause is named: driver, card, libraries, maker of the CPU.

ONNX Runtime itself tells these causes only in its log, and goes on without the provider.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from .nvidia_driver import LIBRARY, Card, Driver, find_driver
from .providers import DRIVER_MEND, Provider, refusal

_INTEL = 0x8086
_NOT_FOUND = "cannot open shared object file"


def require_card(provider: Provider, ort: ModuleType) -> tuple[Driver, Card]:
    """Give NVIDIA's driver and the card that the provider will run on.

    :raises DeviceUnavailable: no driver, no card, a driver too old, or a card that the provider does not drive.
    """
    driver = find_driver()
    if driver is None:
        raise refusal(
            provider,
            f"there is no NVIDIA driver here ({LIBRARY} does not load)",
            "Install NVIDIA's driver for your card",
        )
    if driver.trouble:
        raise refusal(
            provider,
            f"the {driver} does not start: {driver.trouble}",
            "Restart the machine, or install the driver again",
        )
    if not driver.cards:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        if hidden is not None:
            cause, mend = f"CUDA_VISIBLE_DEVICES='{hidden}' hides every card", "Unset it"
        else:
            cause, mend = f"the {driver} finds no card", DRIVER_MEND
        raise refusal(provider, cause, mend)
    _require_cuda(provider, ort, driver)
    _require_capability(provider, driver.cards[0])
    return driver, driver.cards[0]


def _require_cuda(provider: Provider, ort: ModuleType, driver: Driver) -> None:
    needed = str(getattr(ort, "cuda_version", "")).partition(".")[0]
    if provider.library and needed.isdigit() and int(needed) > driver.cuda[0]:
        raise refusal(
            provider,
            f"the {driver} serves CUDA {driver.cuda[0]}.{driver.cuda[1]}"
            f" and the installed onnxruntime {ort.__version__} needs CUDA {needed}",
            "Update the driver",
        )


def _require_capability(provider: Provider, card: Card) -> None:
    known = provider.capabilities
    if known and card.capability not in known and card.capability < known[-1]:
        names = [f"{major}.{minor}" for major, minor in known]
        raise refusal(
            provider,
            f"{provider.device} does not drive the {card.name} of compute capability"
            f" {card.capability[0]}.{card.capability[1]}: it drives {', '.join(names[:-1])} and {names[-1]} or newer",
            "Pass --device cuda",
        )


def require_library(provider: Provider, ort: ModuleType) -> None:
    """Load what the provider of a wheel needs, from the packages that carry it.

    :raises DeviceUnavailable: the system does not find a library (told on Linux only, where the rules of the search
        are the same for every library of a process).
    """
    if hasattr(ort, "preload_dlls"):
        # It prints what it does not find; the check below tells the same as an error.
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()
    for name in provider.helpers:
        if find_spec(name) is not None:
            import_module(name)
    if sys.platform != "linux" or provider.library is None:
        return
    path = Path(str(ort.__file__)).parent / "capi" / f"lib{provider.library}.so"
    if missing := missing_library(path):
        raise refusal(
            provider,
            f"a library of it is missing: {missing}",
            f"Run: pip install 'dermedge[{provider.extra}]'",
        )


def missing_library(path: Path) -> str | None:
    """Load a shared library; give the system's message where the file, or one that it needs, is not found."""
    try:
        ctypes.CDLL(os.fspath(path))
    except OSError as error:
        # Any other trouble, such as a symbol that ONNX Runtime will provide, is for ONNX Runtime to judge.
        return str(error) if _NOT_FOUND in str(error) else None
    return None


def foreign_cpu(ort: ModuleType) -> str | None:
    """Give the maker of this machine's CPU where ONNX Runtime knows it and it is not Intel, else None."""
    makers = {device.device.vendor_id: device.device.vendor for device in ort.get_ep_devices()}
    return None if not makers or 0 in makers or _INTEL in makers else ", ".join(makers.values())


def require_intel(provider: Provider, ort: ModuleType) -> None:
    """Refuse OpenVINO on another maker's CPU without loading its plugin, which takes a quarter of a second.

    :raises DeviceUnavailable: ONNX Runtime knows the maker of the CPU, and it is not Intel.
    """
    if maker := foreign_cpu(ort):
        raise refusal(
            provider,
            f"its plugin finds no device it can drive here: it drives {provider.drives}, and this CPU is from {maker}",
            "Use a machine with an Intel CPU",
        )
