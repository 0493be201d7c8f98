"""The installed TensorRT: TensorRT-RTX, or full TensorRT where that is absent.

The two have one interface. TensorRT-RTX compiles ahead of time, for cards that are not in this machine; full TensorRT
for the GPU of this machine only.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from dermedge_runtime.errors import DermedgeError, UsageError

from .engine_file import LIBRARIES
from .target import EngineTarget


def import_tensorrt() -> ModuleType:
    """Import TensorRT-RTX, or full TensorRT where that is absent.

    :raises DermedgeError: neither is installed, or its libraries do not load.
    """
    for name in LIBRARIES:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise DermedgeError(f"{name} is installed but incomplete: {error}. Install it again.") from error
        except (ImportError, OSError, RuntimeError) as error:
            raise DermedgeError(f"{name} is installed but does not load: {first_line(str(error))}.") from error
    raise DermedgeError(
        "An engine needs TensorRT-RTX, which is not installed. Run: pip install 'dermedge[engine]'"
        " (Linux and Windows on x86-64)."
    )


def load_tensorrt(target: EngineTarget) -> ModuleType:
    """Import what builds the engine, and refuse what it cannot be asked.

    :raises DermedgeError: see `import_tensorrt`.
    :raises UsageError: compute capabilities asked of full TensorRT.
    """
    trt = import_tensorrt()
    if target.compute_capabilities and not ahead_of_time(trt):
        raise UsageError(
            "Full TensorRT builds for the GPU of this machine only. Leave --gpu and --compute-capability out, or"
            " install TensorRT-RTX: pip install 'dermedge[engine]'."
        )
    return trt


def ahead_of_time(trt: ModuleType) -> bool:
    """Whether it builds for cards that are not here."""
    return trt.__name__ == LIBRARIES[0]


@cache
def log_of(trt: ModuleType) -> Any:
    """Give the process's one log: TensorRT keeps the first that it is given, and ignores all later ones."""

    class Log(trt.ILogger):  # type: ignore[misc, name-defined]
        """Collect errors; nothing is printed, because standard output belongs to results."""

        def __init__(self) -> None:
            super().__init__()
            self.errors: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            """Keep the line if it is an error."""
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                self.errors.append(message)

    return Log()


def first_line(text: str) -> str:
    """Give the first line that says something, without its full stop."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0].rstrip(". ") if lines else "it gave no reason"
