"""A square weight that a graph reads forwards and transposed gets its own copy for the transposed reading.

Explanations walk back through the layers of the forward pass, so y = x W is followed by z = y W^T. OpenVINO (2026.4.1,
float32 on a CPU) keeps a packed weight under its address and its two sizes, and hands the forward one out for the way
back where the sizes are equal: probabilities right, heat maps wrong. Matrices that are not square are safe.

The copy takes no room in the file. It is computed from the stored matrix by a transposition inside a cube of one layer,
which no optimiser takes for the transposition of a product's operand, so that all of them fold it into a constant of
its own when they load the graph (ONNX Runtime folded a plain transposition as well). Covered: products (MatMul, Gemm)
with matrices that are stored or computed from stored ones. Not covered: convolutions, products of more dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from .layers import drop_unused

_AXIS = "own_weights_axis"
_FLAGS = ("transA", "transB")


@dataclass(frozen=True, slots=True)
class _Reading:
    """One operand of a product."""

    node: NodeProto
    index: int
    """0 or 1."""
    matrix: str
    """The tensor behind all transpositions."""
    turned: bool
    """Whether the product reads it transposed."""


def own_weights(proto: onnx.ModelProto) -> list[str]:
    """Give every square constant matrix that is read both ways a copy for the transposed readings, in place.

    :return: names of these matrices, in the order of their first reading.
    """
    by_matrix: dict[str, list[_Reading]] = {}
    for reading in _readings(proto):
        by_matrix.setdefault(reading.matrix, []).append(reading)
    both_ways = {name: found for name, found in by_matrix.items() if len({one.turned for one in found}) == 2}
    square = _square_constants(proto) if both_ways else set()
    both_ways = {name: found for name, found in both_ways.items() if name in square}
    if both_ways:
        for name, found in both_ways.items():
            _separate(name, found)
        _insert_copies(proto.graph, list(both_ways))
        drop_unused(proto, [value.name for value in proto.graph.output])
    return list(both_ways)


def _readings(proto: onnx.ModelProto) -> Iterator[_Reading]:
    turned_from = {
        node.output[0]: node.input[0]
        for node in proto.graph.node
        if node.op_type == "Transpose" and _attributes(node).get("perm", [1, 0]) == [1, 0]
    }
    for node in proto.graph.node:
        if node.op_type not in ("MatMul", "Gemm"):
            continue
        flags = _attributes(node)
        for index, flag in enumerate(_FLAGS):
            matrix, turned = node.input[index], bool(flags.get(flag, 0))
            while matrix in turned_from:
                matrix, turned = turned_from[matrix], not turned
            yield _Reading(node, index, matrix, turned)


def _attributes(node: NodeProto) -> dict[str, object]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _square_constants(proto: onnx.ModelProto) -> set[str]:
    """Names of all square matrices that do not depend on the inputs."""
    constant = {tensor.name for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        if all(name in constant for name in node.input if name):
            constant |= set(node.output)
    sizes = {tensor.name: list(tensor.dims) for tensor in proto.graph.initializer}
    for value in onnx.shape_inference.infer_shapes(proto, data_prop=True).graph.value_info:
        sizes[value.name] = [axis.dim_value for axis in value.type.tensor_type.shape.dim]
    return {name for name in constant if len(size := sizes.get(name, [])) == 2 and size[0] == size[1] > 0}


def _copy_of(matrix: str) -> str:
    return f"{matrix}_turned"


def _separate(matrix: str, readings: list[_Reading]) -> None:
    for reading in readings:
        reading.node.input[reading.index] = _copy_of(matrix) if reading.turned else matrix
        for attribute in reading.node.attribute:
            if attribute.name == _FLAGS[reading.index]:
                attribute.i = 0


def _insert_copies(graph: onnx.GraphProto, matrices: list[str]) -> None:
    """Put the nodes that compute the copies before all that may read them."""
    made_by = {output: index for index, node in enumerate(graph.node) for output in node.output}
    nodes: list[list[NodeProto]] = [[node] for node in graph.node]
    first: list[NodeProto] = []
    for matrix in matrices:
        copy = _copy_of(matrix)
        cube, turned = f"{matrix}_cube", f"{matrix}_turned_cube"
        place = nodes[made_by[matrix]] if matrix in made_by else first
        place += [
            helper.make_node("Unsqueeze", [matrix, _AXIS], [cube], name=cube),
            helper.make_node("Transpose", [cube], [turned], name=turned, perm=[0, 2, 1]),
            helper.make_node("Squeeze", [turned, _AXIS], [copy], name=copy),
        ]
    if not any(tensor.name == _AXIS for tensor in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), _AXIS))
    del graph.node[:]
    graph.node.extend(node for group in (first, *nodes) for node in group)
