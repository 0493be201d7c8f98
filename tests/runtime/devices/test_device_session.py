"""A device session gives its device back before it records the kernels, and tells CUDA-graph failures."""

import json
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest
from make_tiny_model import TINY

from dermedge_runtime import DeviceUnavailable
from dermedge_runtime.devices.kernel_cache import KernelCache
from dermedge_runtime.devices.opening import open_session
from dermedge_runtime.devices.providers import PROVIDERS
from dermedge_runtime.devices.session import DeviceSession


class LateWriter:
    """A session that writes its kernels only when it ends, as TensorRT-RTX does."""

    def __init__(self, folder: Path, circular: bool) -> None:
        self.folder = folder
        self.itself = self if circular else None

    def __del__(self) -> None:
        (self.folder / "kernels.bin").write_bytes(b"late")


def drop(session: DeviceSession) -> None:
    """Leave the session to Python: the caller holds no other reference."""


@pytest.mark.parametrize("circular", [False, True])
@pytest.mark.parametrize("end", [DeviceSession.close, drop])
def test_kernels_that_are_written_at_the_end_are_recorded(
    tmp_path: Path, end: Callable[..., None], circular: bool
) -> None:
    folder = tmp_path / "rtx"
    folder.mkdir()
    cache = KernelCache(folder, {"hardware": "RTX 4090"})
    end(DeviceSession(LateWriter(folder, circular), PROVIDERS["rtx"], "1", "RTX 4090", cache=cache))
    record = json.loads((tmp_path / "rtx.json").read_text())
    assert list(record["files"]) == ["kernels.bin"]
    assert record["made_for"] == {"hardware": "RTX 4090"}
    assert cache.damage() is None


def test_closing_ends_onnxruntimes_session() -> None:
    opened = open_session(TINY.read_bytes(), "tiny.onnx", "cpu")
    alive = weakref.ref(opened.session)
    assert isinstance(alive(), onnxruntime.InferenceSession)
    opened.close()
    assert alive() is None


def test_a_run_that_fails_as_a_cuda_graph() -> None:
    def fail(*arguments: Any) -> None:
        raise RuntimeError("capture\n failed")

    session = DeviceSession(SimpleNamespace(), PROVIDERS["cuda"], "1", "RTX 4090", cuda_graphs=True)
    session._runner = SimpleNamespace(run=fail)
    with pytest.raises(DeviceUnavailable, match=r"as a CUDA graph: capture failed\. Leave CUDA graphs out"):
        session.run(["probabilities"], {})
