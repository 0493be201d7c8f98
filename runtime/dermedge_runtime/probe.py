"""Does a device really run? Open a session on it with a tiny network, run it, compare with numpy.

The network (convolution, ReLU, mean, matrix product, softmax) is written here as ONNX bytes, field by field, because
the light installation has no package that makes ONNX files. `python -m dermedge_runtime.probe DEVICE` prints the
result as one line of JSON: a process of its own survives a driver that crashes or hangs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .devices import open_session
from .errors import DermedgeError, DeviceUnavailable
from .providers import DRIVER_MEND, PROVIDERS

_TOLERANCE = 1e-2
"""Of a probability; a card may multiply in half precision or TF32."""
_FLOAT = 1
"""ONNX's number of float32."""

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Probe:
    """What a device answered."""

    device: str
    runs: bool
    provider: str
    """ONNX Runtime's name."""
    provider_version: str = ""
    hardware: str = ""
    cause: str = ""
    """Why it does not run."""
    mend: str = ""
    installed: bool = True

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return asdict(self)


def probe(device: str) -> Probe:
    """Run the network on a device of `PROVIDERS`; never raises for a device that does not run."""
    name = PROVIDERS[device].name
    try:
        opened = open_session(network(), "the probe", device, 1, keep_kernels=False)
    except DeviceUnavailable as error:
        return Probe(device, False, name, cause=error.cause, mend=error.mend, installed=error.installed)
    except Exception as error:  # whatever is broken here is what was asked for
        told = str(error) if isinstance(error, DermedgeError) else f"{type(error).__name__}: {error}"
        return Probe(device, False, name, cause=told)
    image = _image()
    runs, cause = False, ""
    try:
        difference = float(np.abs(opened.run(["probabilities"], {"image": image})[0] - expected(image)).max())
        runs = difference < _TOLERANCE  # not for NaN
        cause = "" if runs else f"it runs, but its answer is off by {difference:.2g}"
    except Exception as error:  # ONNX Runtime's exceptions have no common base of their own
        cause = f"it opens, but does not run: {error}"
    return Probe(device, runs, name, opened.version, opened.hardware, cause, "" if runs else DRIVER_MEND)


def _image() -> Array:
    return np.random.default_rng(0).random((1, 3, 8, 8), dtype=np.float32)


def _weights() -> tuple[Array, Array]:
    generator = np.random.default_rng(1)
    return generator.standard_normal((4, 3, 3, 3), np.float32), generator.standard_normal((4, 3), np.float32)


def expected(image: Array) -> Array:
    """Give the network's answer by numpy; float32 [1, 3, 8, 8] to [1, 3]."""
    kernel, matrix = _weights()
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(2, 3))
    features = np.maximum(np.einsum("bchwij,ocij->bohw", windows, kernel), 0).mean(axis=(2, 3))
    powers = np.exp(features @ matrix)
    answer: Array = powers / powers.sum(axis=1, keepdims=True)
    return answer


def network() -> bytes:
    """Give the network as an ONNX file."""
    kernel, matrix = _weights()
    nodes = [
        _node("Conv", ["image", "kernel"], "convolved"),
        _node("Relu", ["convolved"], "positive"),
        _node("GlobalAveragePool", ["positive"], "pooled"),
        _node("Flatten", ["pooled"], "features"),
        _node("MatMul", ["features", "matrix"], "scores"),
        _node("Softmax", ["scores"], "probabilities"),
    ]
    graph = _join(
        [
            *(_bytes(1, node) for node in nodes),
            _bytes(2, b"probe"),
            _bytes(5, _tensor("kernel", kernel)),
            _bytes(5, _tensor("matrix", matrix)),
            _bytes(11, _value("image", (1, 3, 8, 8))),
            _bytes(12, _value("probabilities", (1, 3))),
        ]
    )
    opset = _number(2, 17)
    return _join([_number(1, 8), _bytes(7, graph), _bytes(8, opset)])  # ONNX's IR version 8, graph, operator set


def _node(operator: str, inputs: Iterable[str], output: str) -> bytes:
    return _join(
        [*(_bytes(1, name.encode()) for name in inputs), _bytes(2, output.encode()), _bytes(4, operator.encode())]
    )


def _tensor(name: str, array: Array) -> bytes:
    sizes = [_number(1, size) for size in array.shape]
    return _join([*sizes, _number(2, _FLOAT), _bytes(8, name.encode()), _bytes(9, array.astype("<f4").tobytes())])


def _value(name: str, shape: Iterable[int]) -> bytes:
    axes = _join(_bytes(1, _number(1, size)) for size in shape)
    tensor = _number(1, _FLOAT) + _bytes(2, axes)
    return _bytes(1, name.encode()) + _bytes(2, _bytes(1, tensor))


def _join(parts: Iterable[bytes]) -> bytes:
    return b"".join(parts)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


if __name__ == "__main__":
    sys.stdout.write(json.dumps(probe(sys.argv[1]).to_record()) + "\n")
