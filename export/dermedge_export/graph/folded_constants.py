"""Compute what does not depend on the inputs, so that the quantiser sees every weight as one.

ONNX Runtime's quantiser takes a weight that is transposed inside the graph for an activation: it gets one step for the
whole matrix, and is stored in float32 and quantised again in every run.
"""

from __future__ import annotations

import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from .layers import drop_unused


def with_constants(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Give a copy in which every tensor that does not depend on the inputs is stored."""
    folded = onnx.ModelProto()
    folded.CopyFrom(proto)
    graph = folded.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if not all(name in constants for name in node.input if name):
            kept.append(node)
            continue
        results = ReferenceEvaluator(node).run(None, {name: constants[name] for name in node.input if name})
        for name, array in zip(node.output, results, strict=True):
            constants[name] = array
            graph.initializer.append(numpy_helper.from_array(array, name))
    del graph.node[:]
    graph.node.extend(kept)
    drop_unused(folded, [value.name for value in graph.output])
    return folded
