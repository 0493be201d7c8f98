"""The trial's network, and what it must answer.

Three outputs, each with what has gone wrong on some device: `probabilities` (convolution, ReLU, mean, matrix product,
softmax), `explained` (one square weight read forwards and transposed, as explanations read them) and `quantised` (an
INT8 convolution, of which sums of 16 bits can be cut off).

Written as ONNX bytes, field by field, because the light installation has no package that makes ONNX files. Weights and
picture come from numpy's generator, which gives the same numbers everywhere. Not covered: running it (`trial_run`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTPUTS = {
    "probabilities": "a network's scores",
    "explained": "one square weight read forwards and transposed, as the explanations of older model files do",
    "quantised": "an INT8 convolution",
}
"""What each output stands for."""
SAFE_WEIGHT, LARGEST_WEIGHT = 64, 127
"""Of the INT8 convolution. Two safe ones times 255 fit into 16 bits; two of the largest do not."""

_PICTURE, _FEATURES, _CLASSES, _QUANTISED = (1, 3, 8, 8), 8, 3, 2
_PIXEL_STEP, _WEIGHT_STEP, _ANSWER_STEP = 1 / 255, 1 / 1024, 1 / 110
_TYPES = {"float32": 1, "uint8": 2, "int8": 3}
"""ONNX's numbers of the types."""

Array = NDArray[np.float32]


def picture() -> Array:
    """Give the input, float32 [1, 3, 8, 8] in [0, 1)."""
    return np.random.default_rng(0).random(_PICTURE, dtype=np.float32)


def outputs(*, quantised: bool) -> tuple[str, ...]:
    """Names of the outputs."""
    return tuple(name for name in OUTPUTS if quantised or name != "quantised")


def _weights() -> dict[str, Array]:
    generator = np.random.default_rng(1)
    sizes = {"kernel": (_FEATURES, 3, 3, 3), "matrix": (_FEATURES, _CLASSES), "square": (_FEATURES, _FEATURES)}
    scale = {"kernel": 1, "matrix": 1 / 4, "square": 1 / 4}  # no probability near 0 or 1
    return {name: generator.standard_normal(size, np.float32) * np.float32(scale[name]) for name, size in sizes.items()}


def _coarse_kernel(largest: int) -> NDArray[np.int8]:
    size = (_QUANTISED, 3, 3, 3)
    return np.random.default_rng(2).integers(largest - largest // 8, largest + 1, size).astype(np.int8)


def expected(image: Array, *, quantised: bool = True, largest_weight: int = SAFE_WEIGHT) -> dict[str, Array]:
    """Give the network's outputs by numpy; float32 [1, 3, 8, 8] to [1, 3], [1, 8] and [1, 2, 6, 6]."""
    weights = _weights()
    features = np.maximum(_convolve(image, weights["kernel"]), 0).mean(axis=(2, 3))
    powers = np.exp(features @ weights["matrix"])
    answers = {
        "probabilities": powers / powers.sum(axis=1, keepdims=True),
        "explained": features @ weights["square"] @ weights["square"].T,
    }
    if quantised:
        pixels = np.rint(image.astype(np.float64) / np.float32(_PIXEL_STEP)).clip(0, 255)
        sums = _convolve(pixels, _coarse_kernel(largest_weight).astype(np.float64))
        levels = np.rint(sums * (_PIXEL_STEP * _WEIGHT_STEP / _ANSWER_STEP)).clip(0, 255)
        answers["quantised"] = (levels * _ANSWER_STEP).astype(np.float32)
    return answers


def _convolve(image: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(2, 3))
    result: NDArray[Any] = np.einsum("bchwij,ocij->bohw", windows, kernel)
    return result


def network(*, quantised: bool = True, largest_weight: int = SAFE_WEIGHT) -> bytes:
    """Give the network as an ONNX file of some 2 kB.

    :param quantised: with the INT8 convolution, which not every provider takes.
    :param largest_weight: of that convolution.
    """
    nodes = [
        _node("Conv", ["image", "kernel"], "convolved"),
        _node("Relu", ["convolved"], "positive"),
        _node("GlobalAveragePool", ["positive"], "pooled"),
        _node("Flatten", ["pooled"], "features"),
        _node("MatMul", ["features", "matrix"], "scores"),
        _node("Softmax", ["scores"], "probabilities"),
        _node("MatMul", ["features", "square"], "forwards"),
        _node("Transpose", ["square"], "transposed"),
        _node("MatMul", ["forwards", "transposed"], "explained"),
    ]
    tensors: dict[str, NDArray[Any]] = {**_weights()}
    values: dict[str, tuple[int, ...]] = {"probabilities": (1, _CLASSES), "explained": (1, _FEATURES)}
    if quantised:
        nodes += [
            _node("QuantizeLinear", ["image", "pixel_step", "from_zero"], "pixels"),
            _node("DequantizeLinear", ["pixels", "pixel_step", "from_zero"], "coarse_image"),
            _node("DequantizeLinear", ["coarse_kernel", "weight_step", "around_zero"], "weights"),
            _node("Conv", ["coarse_image", "weights"], "sums"),
            _node("QuantizeLinear", ["sums", "answer_step", "from_zero"], "levels"),
            _node("DequantizeLinear", ["levels", "answer_step", "from_zero"], "quantised"),
        ]
        steps = {"pixel_step": _PIXEL_STEP, "weight_step": _WEIGHT_STEP, "answer_step": _ANSWER_STEP}
        tensors |= {name: np.array(step, np.float32) for name, step in steps.items()}
        tensors |= {"from_zero": np.array(0, np.uint8), "around_zero": np.array(0, np.int8)}
        tensors["coarse_kernel"] = _coarse_kernel(largest_weight)
        values["quantised"] = (1, _QUANTISED, 6, 6)
    return _model(nodes, tensors, values)


def _model(nodes: Iterable[bytes], tensors: Mapping[str, NDArray[Any]], values: Mapping[str, tuple[int, ...]]) -> bytes:
    graph = _join(
        [
            *(_bytes(1, node) for node in nodes),
            _bytes(2, b"trial"),
            *(_bytes(5, _tensor(name, array)) for name, array in tensors.items()),
            _bytes(11, _value("image", _PICTURE)),
            *(_bytes(12, _value(name, shape)) for name, shape in values.items()),
        ]
    )
    opset = _number(2, 17)
    return _join([_number(1, 8), _bytes(7, graph), _bytes(8, opset)])  # ONNX's IR version 8, graph, operator set


def _node(operator: str, inputs: Iterable[str], output: str) -> bytes:
    return _join(
        [*(_bytes(1, name.encode()) for name in inputs), _bytes(2, output.encode()), _bytes(4, operator.encode())]
    )


def _tensor(name: str, array: NDArray[Any]) -> bytes:
    sizes = [_number(1, size) for size in array.shape]
    content = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return _join([*sizes, _number(2, _TYPES[array.dtype.name]), _bytes(8, name.encode()), _bytes(9, content)])


def _value(name: str, shape: Iterable[int]) -> bytes:
    axes = _join(_bytes(1, _number(1, size)) for size in shape)
    tensor = _number(1, _TYPES["float32"]) + _bytes(2, axes)
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
