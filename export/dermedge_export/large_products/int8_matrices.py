"""Very large matrices of an INT8 file: eight bits in the file, and eight bits in the product.

Covered: the contraction of a tensor or bilinear fusion, 17 million weights that a prediction reads once and its heat
map a second time: reading them is what it costs. Not covered: the small matrices of the head, which stay in float
(`fp16.to_float16`).

The weights have one step for the whole matrix, so that one copy serves both products; `merged_product` has made its
columns alike. Every row of the activations is divided by its own largest value first: no calibration is needed, and the
patients of a batch stay independent of each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from dermedge_export.int8.safe_weights import LARGEST_WEIGHT

_LARGE = 4_000_000
"""Numbers in a matrix from which on reading it is what its product costs."""
_STEPS = 127
_SMALLEST_SCALE = 1e-30
_AXES, _SMALLEST, _STEP, _ZERO = "rows_axes", "rows_smallest", "rows_step", "rows_zero"


def quantize_large_matrices(proto: onnx.ModelProto) -> None:
    """Replace every product with a large float32 matrix by one in eight bits, in place."""
    graph = proto.graph
    large = [t for t in graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) == 2]
    large = [t for t in large if t.dims[0] * t.dims[1] > _LARGE]
    if not large:
        return
    for tensor in large:
        _quantize(graph, tensor)
    constants: dict[str, NDArray[Any]] = {
        _AXES: np.array([-1], np.int64),
        _SMALLEST: np.array(_SMALLEST_SCALE, np.float32),
        _STEP: np.array(1 / _STEPS, np.float32),
        _ZERO: np.array(128, np.uint8),
    }
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())


def _quantize(graph: onnx.GraphProto, tensor: TensorProto) -> None:
    name, values = tensor.name, numpy_helper.to_array(tensor)
    step = max(float(np.abs(values).max()), _SMALLEST_SCALE) / LARGEST_WEIGHT
    graph.initializer.remove(tensor)
    constants: dict[str, NDArray[Any]] = {
        "int8": np.rint(values / step).astype(np.int8),
        "step": np.array(step, np.float32),
        "zero": np.array(0, np.int8),
    }
    graph.initializer.extend(numpy_helper.from_array(array, f"{name}_{key}") for key, array in constants.items())
    # What the products read instead of the matrix: the stored one, or its transposition, which the runtime folds.
    stored = {name: f"{name}_int8"}
    nodes: list[NodeProto] = []
    for node in graph.node:
        read = [source for source in node.input if source in stored]
        if not read:
            nodes.append(node)
        elif node.op_type == "Transpose":
            stored[node.output[0]] = f"{node.output[0]}_int8"
            node.input[0], node.output[0] = stored[read[0]], stored[node.output[0]]
            nodes.append(node)
        else:
            assert node.op_type == "MatMul" and list(node.input).index(read[0]) == 1, node.op_type
            nodes += _product(node, stored[read[0]], f"{name}_step", f"{name}_zero")
    del graph.node[:]
    graph.node.extend(nodes)


def _product(node: NodeProto, matrix: str, step: str, zero: str) -> list[NodeProto]:
    """Give the nodes of (a / m) W * m with a / m and W in eight bits, m the largest absolute value of a row of a."""
    source, name = node.input[0], node.name

    def made(operator: str, inputs: list[str], output: str) -> NodeProto:
        return helper.make_node(operator, inputs, [output], name=f"{name}_{output}")

    absolute, largest, row = f"{name}_abs", f"{name}_max", f"{name}_row"
    scaled, coarse, rounded, weights, product = (f"{name}_{p}" for p in ("scaled", "q", "dq", "weights", "product"))
    return [
        made("Abs", [source], absolute),
        made("ReduceMax", [absolute, _AXES], largest),
        made("Max", [largest, _SMALLEST], row),
        made("Div", [source, row], scaled),
        made("QuantizeLinear", [scaled, _STEP, _ZERO], coarse),
        made("DequantizeLinear", [coarse, _STEP, _ZERO], rounded),
        made("DequantizeLinear", [matrix, step, zero], weights),
        made("MatMul", [rounded, weights], product),
        made("Mul", [product, row], node.output[0]),
    ]
