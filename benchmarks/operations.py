"""Count what a model file computes and moves, from the graph itself: multiply-accumulates, weights, activations.

The shapes are those of one real run at batch 1, so nothing depends on shape inference. Counted: Conv, Gemm and MatMul,
with the tensors that go in and come out of them. Not counted: everything between them, which a good runtime fuses.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

_COUNTED = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True, slots=True)
class Operations:
    """One prediction at batch 1."""

    multiply_accumulates: int
    by_operator: Mapping[str, int]
    weights: int
    """Elements of the weights that are read."""
    activations: int
    """Elements that go in and come out of the counted operators."""

    @property
    def operations(self) -> int:
        """A multiplication and an addition are two."""
        return 2 * self.multiply_accumulates


def count(path: Path, feed: Mapping[str, np.ndarray]) -> Operations:
    """Count the operations of an FP32 or QDQ file.

    :param feed: inputs of batch 1.
    """
    proto = onnx.load(path)
    nodes = [node for node in proto.graph.node if node.op_type in _COUNTED]
    shapes = _shapes(proto, nodes, feed)
    by_operator = dict.fromkeys(_COUNTED, 0)
    weights: dict[str, int] = {}
    activations = 0
    fixed = _fixed(proto)
    for node in nodes:
        by_operator[node.op_type] += _multiply_accumulates(node, shapes)
        for name in (*node.input[:2], node.output[0]):
            if name in fixed:
                weights[name] = int(np.prod(shapes[name]))
            else:
                activations += int(np.prod(shapes[name]))
    return Operations(sum(by_operator.values()), by_operator, sum(weights.values()), activations)


def _multiply_accumulates(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> int:
    left, right, out = shapes[node.input[0]], shapes[node.input[1]], int(np.prod(shapes[node.output[0]]))
    if node.op_type == "Conv":
        return out * int(np.prod(right[1:]))  # [out, in / groups, height, width]
    transposed = node.op_type == "Gemm" and any(a.name == "transA" and a.i for a in node.attribute)
    return out * left[0 if transposed else -1]


def _fixed(proto: onnx.ModelProto) -> set[str]:
    """Names of weights, also of those that are stored small and widened by nodes."""
    fixed = {tensor.name for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if node.op_type == "Constant" or (node.input and all(name in fixed or not name for name in node.input)):
            fixed.update(node.output)
    return fixed


def _shapes(proto: onnx.ModelProto, nodes: list[onnx.NodeProto], feed: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    shapes = {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}
    wanted = {name for node in nodes for name in (*node.input[:2], node.output[0])} - set(shapes)
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(wanted))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    known = {value.name for value in session.get_inputs()}
    values = session.run(names, {name: value for name, value in feed.items() if name in known})
    return shapes | {name: value.shape for name, value in zip(names, values, strict=True)}
