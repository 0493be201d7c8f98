"""What is installed: versions of the packages that decide where a model can run, and wheels that destroy each other."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

WHEELS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime-qnn")
"""Distributions that all install the folder `onnxruntime`."""
PACKAGES = (
    *WHEELS,
    *("onnxruntime-ep-openvino", "onnxruntime-ep-nv-tensorrt-rtx", "onnxruntime-ep-nv-tensorrt-rtx-cu13"),
    *("onnxruntime-ep-nv-tensorrt-rtx-cu12", "tensorrt-rtx", "tensorrt", "tensorrt-cu13-libs"),
    *("numpy", "pillow", "torch", "onnx"),
)


def versions(names: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Give the versions of those packages that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def install_command(extra: str, wheel: str) -> str:
    """Give the command that installs an extra; another wheel of ONNX Runtime goes first, for the two would clash.

    :param wheel: the wheel that the extra needs.
    """
    others = [name for name in versions(WHEELS) if name != wheel]
    first = f"pip uninstall -y {' '.join(others)} && " if others else ""
    return f"Run: {first}pip install 'dermedge[{extra}]'"


def wheel_conflict(extra: str = "cpu") -> tuple[str, str] | None:
    """Find several wheels of ONNX Runtime in one environment.

    :param extra: the extra whose wheel is to stay.
    :return: the cause and its mend; None where there is one wheel or none.
    """
    wheels = list(versions(WHEELS))
    if len(wheels) < 2:
        return None
    cause = (
        f"{' and '.join(wheels)} are installed together and overwrite each other's files,"
        " so that providers of either are missing"
    )
    return cause, f"Run: pip uninstall -y {' '.join(wheels)} && pip install 'dermedge[{extra}]'"
