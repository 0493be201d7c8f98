"""The pixels of an INT8 file for the CPU: the image branch reads the bytes of the picture as they are.

A picture is eight bits already. Divided by 255 and quantised with a step of 1/255 it is itself again, so that the cast,
the division and the quantisation between the input and the first convolution do nothing but cost time, a hundredth of a
prediction or so. A mean that is subtracted becomes the zero point of that step, which is a whole number: what is left
of it, half a grey level at most, moves into the bias. That is exact but for the border, where the padding is by as much
off the mean. Not covered: means that differ from colour to colour before a convolution that pads, a network that
prepares the picture first, and TensorRT, which takes no uint8 activations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

from dermedge_export.graph.layers import drop_unused
from dermedge_export.graph.normalised_input import add_to_bias

PIXEL_STEP = float(np.float32(1 / 255))
_IMAGE = "image"
_CHAIN = ("Cast", "Transpose", "Div")
_HALF_A_LEVEL = 0.501


@dataclass(frozen=True, slots=True)
class Pixels:
    """The tensor that the first convolution reads, (byte - zero) / 255."""

    name: str
    zero: int

    @property
    def range(self) -> tuple[np.float32, np.float32]:
        """Smallest and largest value."""
        return np.float32(-self.zero / 255), np.float32((255 - self.zero) / 255)


def whole_pixels(proto: onnx.ModelProto) -> Pixels | None:
    """Make the mean that is subtracted from the picture a whole number of grey levels, in place.

    :return: None where the first convolution reads anything else than the picture, or means of different colours.
    """
    chain = _chain(proto)
    if chain is None:
        return None
    last = chain[-1]
    (reader,) = readers if len(readers := _readers(proto, last.output[0])) == 1 else (None,)
    weights = None if reader is None or reader.op_type != "Conv" else _constant(proto, reader.input[1])
    if reader is None or weights is None:
        return None
    if last.op_type != "Sub":
        return Pixels(last.output[0], 0)
    means = _constant(proto, last.input[1])
    assert means is not None
    zero = int(np.rint(255 * means.mean()))
    if np.abs(255 * means - zero).max() > _HALF_A_LEVEL:
        return None
    remainder = zero / 255 - means.astype(np.float64).reshape(-1)
    add_to_bias(proto, reader, (weights * remainder[:, None, None]).sum(axis=(1, 2, 3)))
    whole = np.full_like(means, zero / 255)
    last.input[1] = f"{last.output[0]}/whole_mean"
    proto.graph.initializer.append(numpy_helper.from_array(whole, last.input[1]))
    drop_unused(proto, [value.name for value in proto.graph.output])
    return Pixels(last.output[0], zero)


def read_pixels_as_they_are(proto: onnx.ModelProto) -> None:
    """Take out what is between the input `image` and the first convolution of a QDQ graph, in place.

    A graph without that chain, or with another step than 1/255, stays as it is.
    """
    chain = _chain(proto)
    if chain is None:
        return
    cast, transpose, last = chain[0], chain[1], chain[-1]
    readers = _readers(proto, last.output[0])
    if [node.op_type for node in readers] != ["QuantizeLinear"] or not _is_identity(proto, readers[0], last):
        return
    transpose.input[0] = cast.input[0]
    for node in proto.graph.node:
        for index, name in enumerate(node.input):
            if name == readers[0].output[0]:
                node.input[index] = transpose.output[0]
    for value in list(proto.graph.value_info):
        if value.name == transpose.output[0]:
            proto.graph.value_info.remove(value)  # it said float32
    drop_unused(proto, [value.name for value in proto.graph.output])


def _chain(proto: onnx.ModelProto) -> list[NodeProto] | None:
    """Find the cast, the transposition and the division after the input `image`, and the subtraction of the mean."""
    found: list[NodeProto] = []
    name = _IMAGE
    for kind in _CHAIN:
        readers = _readers(proto, name)
        if [node.op_type for node in readers] != [kind]:
            return None
        found.append(readers[0])
        name = readers[0].output[0]
    divisor = _constant(proto, found[-1].input[1])
    if divisor is None or divisor.size != 1 or divisor.item() != 255:
        return None
    after = _readers(proto, name)
    if [node.op_type for node in after] == ["Sub"] and _constant(proto, after[0].input[1]) is not None:
        found.append(after[0])
    return found


def _readers(proto: onnx.ModelProto, name: str) -> list[NodeProto]:
    return [node for node in proto.graph.node if name in node.input]


def _is_identity(proto: onnx.ModelProto, node: NodeProto, last: NodeProto) -> bool:
    """Whether quantising (byte - mean) gives the byte again."""
    step, zero = (_constant(proto, name) for name in node.input[1:3])
    if step is None or zero is None or zero.dtype != np.uint8:
        return False
    means = _constant(proto, last.input[1]) if last.op_type == "Sub" else np.zeros(1, np.float32)
    assert means is not None
    same = np.allclose(255 * means.astype(np.float64), zero.item(), rtol=0, atol=1e-3)
    return bool(same and step.size == 1 and np.isclose(step.item(), PIXEL_STEP, rtol=1e-6, atol=0))


def _constant(proto: onnx.ModelProto, name: str) -> np.ndarray | None:
    return next((numpy_helper.to_array(tensor) for tensor in proto.graph.initializer if tensor.name == name), None)
