"""NVIDIA's driver and its cards, asked through the driver's own libraries: no command, no CUDA toolkit.

Covered: driver version, newest CUDA it serves, name and compute capability of every card this process may use.
Not covered: memory, temperature, load.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_MANAGEMENT = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
_NO_DEVICE = 100
_CAPABILITY = (75, 76)
"""Device attributes: major and minor number of the compute capability."""


@dataclass(frozen=True, slots=True)
class Card:
    """One card."""

    name: str
    capability: tuple[int, int]
    """Compute capability, such as (8, 9)."""


@dataclass(frozen=True, slots=True)
class Driver:
    """NVIDIA's driver as this process sees it."""

    version: str
    """Such as 580.95.05; empty where the management library does not tell."""
    cuda: tuple[int, int]
    """Newest CUDA that it serves."""
    cards: tuple[Card, ...]
    """In CUDA's order; the first is the one that runs."""
    trouble: str = ""
    """Why it does not start; empty where it does."""

    def __str__(self) -> str:
        return f"NVIDIA driver {self.version}".rstrip()


def find_driver(load: Callable[[str], Any] = ctypes.CDLL) -> Driver | None:
    """Ask the driver.

    :param load: opens a shared library by its name.
    :return: None where no driver is installed.
    """
    try:
        library = load(LIBRARY)
    except OSError:
        return None
    number = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(number))
    cuda = (number.value // 1000, number.value % 1000 // 10)
    code = library.cuInit(0)
    if code not in (0, _NO_DEVICE):
        return Driver(_version(load), cuda, (), _error(library, code))
    return Driver(_version(load), cuda, () if code else _cards(library))


def _cards(library: Any) -> tuple[Card, ...]:
    count = ctypes.c_int()
    library.cuDeviceGetCount(ctypes.byref(count))
    cards = []
    for index in range(count.value):
        name = ctypes.create_string_buffer(256)
        library.cuDeviceGetName(name, len(name), index)
        numbers = [ctypes.c_int() for _ in _CAPABILITY]
        for number, attribute in zip(numbers, _CAPABILITY, strict=True):
            library.cuDeviceGetAttribute(ctypes.byref(number), attribute, index)
        cards.append(Card(name.value.decode(errors="replace"), (numbers[0].value, numbers[1].value)))
    return tuple(cards)


def _error(library: Any, code: int) -> str:
    text = ctypes.c_char_p()
    library.cuGetErrorString(code, ctypes.byref(text))
    return f"{text.value.decode(errors='replace') if text.value else 'unknown error'} (code {code})"


def _version(load: Callable[[str], Any]) -> str:
    text = ctypes.create_string_buffer(96)
    with suppress(OSError):
        library = load(_MANAGEMENT)
        if library.nvmlInit_v2() == 0:
            library.nvmlSystemGetDriverVersion(text, len(text))
            library.nvmlShutdown()
    return text.value.decode(errors="replace")
