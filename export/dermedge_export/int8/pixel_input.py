"""The pixels of an INT8 file for the CPU: the image branch reads the bytes of the picture as they are.

A picture is eight bits already. Divided by 255 and quantised with a step of 1/255 it is itself again, so that the cast,
the division and the quantisation between the input and the first convolution do nothing but cost time, a hundredth of a
prediction or so. Not covered: a network that prepares the picture first, and TensorRT, which takes no uint8
activations.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper

from dermedge_export.graph.layers import drop_unused

PIXEL_STEP = float(np.float32(1 / 255))
_IMAGE = "image"
_CHAIN = ("Cast", "Transpose", "Div")


def scaled_pixels(proto: onnx.ModelProto) -> str | None:
    """Give the name of the tensor that holds the picture divided by 255, in [0, 1], where a convolution reads it."""
    chain = _chain(proto)
    if chain is None:
        return None
    name = chain[-1].output[0]
    readers = [node for node in proto.graph.node if name in node.input]
    return str(name) if [node.op_type for node in readers] == ["Conv"] else None


def read_pixels_as_they_are(proto: onnx.ModelProto) -> None:
    """Take out what is between the input `image` and the first convolution of a QDQ graph, in place.

    A graph without that chain, or with another step than 1/255, stays as it is.
    """
    chain = _chain(proto)
    if chain is None:
        return
    cast, transpose, division = chain
    readers = [node for node in proto.graph.node if division.output[0] in node.input]
    if [node.op_type for node in readers] != ["QuantizeLinear"] or not _is_identity(proto, readers[0]):
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
    """Find the cast, the transposition and the division after the input `image`."""
    found, name = [], _IMAGE
    for kind in _CHAIN:
        readers = [node for node in proto.graph.node if name in node.input]
        if [node.op_type for node in readers] != [kind]:
            return None
        found.append(readers[0])
        name = readers[0].output[0]
    divisor = _constant(proto, found[-1].input[1])
    return found if divisor is not None and divisor.size == 1 and divisor.item() == 255 else None


def _is_identity(proto: onnx.ModelProto, node: NodeProto) -> bool:
    step, zero = (_constant(proto, name) for name in node.input[1:3])
    if step is None or zero is None or zero.dtype != np.uint8:
        return False
    return bool(step.size == 1 and np.isclose(step.item(), PIXEL_STEP, rtol=1e-6, atol=0) and zero.item() == 0)


def _constant(proto: onnx.ModelProto, name: str) -> np.ndarray | None:
    return next((numpy_helper.to_array(tensor) for tensor in proto.graph.initializer if tensor.name == name), None)
