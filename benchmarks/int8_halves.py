"""Undo one half of an INT8 graph, so that what the other half costs can be measured alone."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

_ROUNDED = "_quantized"


def with_float_weights(quantised: onnx.ModelProto, original: onnx.ModelProto) -> onnx.ModelProto:
    """Give a copy of a QDQ graph whose weights, and biases that no correction has changed, are those of FP32."""
    made = onnx.ModelProto()
    made.CopyFrom(quantised)
    floats = {tensor.name: tensor for tensor in original.graph.initializer}
    for node in list(made.graph.node):
        weight = floats.get(node.input[0].removesuffix(_ROUNDED)) if node.op_type == "DequantizeLinear" else None
        if weight is None or len(weight.dims) < 2:
            continue
        made.graph.initializer.append(weight)
        made.graph.initializer[-1].name = node.output[0]
        made.graph.node.remove(node)
    return made


def with_rounded_weights(quantised: onnx.ModelProto, original: onnx.ModelProto) -> onnx.ModelProto:
    """Give a copy of the FP32 graph whose weights are those of a QDQ graph; the biases are its own."""
    made = onnx.ModelProto()
    made.CopyFrom(original)
    stored = {tensor.name: tensor for tensor in quantised.graph.initializer}
    axes = {
        node.input[0]: next((each.i for each in node.attribute if each.name == "axis"), 1)
        for node in quantised.graph.node
        if node.op_type == "DequantizeLinear"
    }
    for tensor in made.graph.initializer:
        rounded, step = (stored.get(f"{tensor.name}{end}") for end in (_ROUNDED, "_scale"))
        if rounded is None or step is None or len(tensor.dims) < 2:
            continue
        values, steps = numpy_helper.to_array(rounded).astype(np.float32), numpy_helper.to_array(step)
        shape = [1] * values.ndim
        if steps.size > 1:
            shape[axes[rounded.name]] = -1
        tensor.CopyFrom(numpy_helper.from_array(values * steps.reshape(shape), tensor.name))
    return made
