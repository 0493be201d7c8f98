"""A stand-in for the libraries of NVIDIA's driver, called as ctypes calls the real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dermedge_runtime.devices.nvidia_driver import LIBRARY


class FakeCuda:
    """libcuda with some cards; functions return NVIDIA's codes and write through pointers."""

    def __init__(self, cards: tuple[tuple[str, int, int], ...] = (), code: int = 0, cuda: int = 13000) -> None:
        self.cards, self.code, self.cuda = cards, code, cuda

    def cuInit(self, flags: int) -> int:  # noqa: N802 (NVIDIA's names)
        return self.code

    def cuDriverGetVersion(self, number: Any) -> int:  # noqa: N802
        number._obj.value = self.cuda
        return 0

    def cuDeviceGetCount(self, number: Any) -> int:  # noqa: N802
        number._obj.value = len(self.cards)
        return 0

    def cuDeviceGetName(self, name: Any, size: int, index: int) -> int:  # noqa: N802
        name.value = self.cards[index][0].encode()[: size - 1]
        return 0

    def cuDeviceGetAttribute(self, number: Any, attribute: int, index: int) -> int:  # noqa: N802
        number._obj.value = {75: self.cards[index][1], 76: self.cards[index][2]}[attribute]
        return 0

    def cuGetErrorString(self, code: int, text: Any) -> int:  # noqa: N802
        text._obj.value = f"trouble {code}".encode()
        return 0


class FakeNvml:
    """libnvidia-ml of one driver version."""

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlSystemGetDriverVersion(self, text: Any, size: int) -> int:  # noqa: N802
        text.value = b"580.95.05"
        return 0

    def nvmlShutdown(self) -> int:  # noqa: N802
        return 0


def loader(cuda: FakeCuda, nvml: FakeNvml | None = None) -> Callable[[str], Any]:
    """Give a function that opens these libraries and no others."""

    def load(name: str) -> Any:
        library = cuda if name == LIBRARY else nvml
        if library is None:
            raise OSError(f"{name}: cannot open shared object file")
        return library

    return load
