"""FP32 graph -> float16, in two measures: the image branch computes in half, the head's matrices are only stored in it.

The image branch gets a Cast at every border between the precisions, so the graph stays plainly and strongly typed. The
head keeps float32 for its softmax, normalisation and gradients; its matrices are a tenth of an INT8 file, and a float16
initializer followed by a Cast halves them. ONNX Runtime folds that Cast when the session opens.

Which layers stay in float32 is decided in `value_ranges`.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from dermedge_export.graph.layers import drop_unused, float_tensors, trunk_layers

LARGEST_HALF = float(np.finfo(np.float16).max)
LARGEST_LOSS = 2.0**-8
"""Share of a tensor's norm that rounding to float16 may take: some twenty times what it takes of an ordinary one."""


def to_half(values: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round to float16; what is too large becomes infinite, without a warning."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16)


def rounding_loss(values: NDArray[np.float32]) -> float:
    """Share of a tensor's norm that rounding to float16 takes: 0 to 1, infinite where a value overflows."""
    rounded = to_half(values).astype(np.float64)
    if not np.isfinite(rounded).all():
        return float("inf")
    norm = float(np.linalg.norm(values.astype(np.float64)))
    return float(np.linalg.norm(values - rounded)) / norm if norm > 0 else 0.0


def compute_trunk_in_half(proto: onnx.ModelProto, keep: Collection[str] = ()) -> None:
    """Store and compute the layers of the image branch in float16, in place, all but those in `keep`."""
    layers = trunk_layers(proto)
    chosen = {node.name for layer, nodes in layers.items() if layer not in keep for node in nodes}
    halved = {output for node in proto.graph.node if node.name in chosen for output in node.output}
    converter = _Converter(proto, halved)
    nodes: list[NodeProto] = []
    for node in proto.graph.node:
        nodes += converter.convert(node, half=node.name in chosen)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    drop_unused(proto, [value.name for value in proto.graph.output])


class _Converter:
    """Give every node its inputs in its own precision; tensors are cast once for all their readers."""

    def __init__(self, proto: onnx.ModelProto, halved: Collection[str]) -> None:
        self._graph = proto.graph
        self._floats = {t.name: t for t in proto.graph.initializer if t.data_type == TensorProto.FLOAT}
        self._numbers = float_tensors(proto)  # sizes and axes stay whole numbers
        self._halved = halved
        self._made: set[str] = set()

    def convert(self, node: NodeProto, *, half: bool) -> list[NodeProto]:
        """Rewrite the inputs of a node; the node and the casts that it needs first."""
        casts: list[NodeProto] = []
        for index, name in enumerate(node.input):
            if half and name in self._floats:
                node.input[index] = self._stored(name)
            elif name in self._numbers and half != (name in self._halved):
                node.input[index] = self._cast(name, casts, half=half)
        return [*casts, node]

    def _stored(self, name: str) -> str:
        stored = f"{name}_half"
        if stored not in self._made:
            self._made.add(stored)
            values = numpy_helper.to_array(self._floats[name])
            self._graph.initializer.append(numpy_helper.from_array(to_half(values), stored))
        return stored

    def _cast(self, name: str, casts: list[NodeProto], *, half: bool) -> str:
        made = f"{name}_{'half' if half else 'float'}"
        if made not in self._made:
            self._made.add(made)
            kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
            casts.append(helper.make_node("Cast", [name], [made], name=f"cast_{made}", to=kind))
        return made


def store_matrices_in_half(proto: onnx.ModelProto) -> list[str]:
    """Replace every float32 matrix among the initializers by a float16 one and a Cast, in place.

    :return: names of the matrices that stay in float32, because rounding would take too much of them.
    """
    graph = proto.graph
    casts, kept = [], []
    for index, tensor in enumerate(graph.initializer):
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != 2 or 1 in tensor.dims:
            continue
        values = numpy_helper.to_array(tensor)
        if rounding_loss(values) > LARGEST_LOSS:
            kept.append(tensor.name)
            continue
        stored = f"{tensor.name}_half"
        casts.append(helper.make_node("Cast", [stored], [tensor.name], name=f"cast_{stored}", to=TensorProto.FLOAT))
        graph.initializer[index].CopyFrom(numpy_helper.from_array(to_half(values), stored))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return kept
