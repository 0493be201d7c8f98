"""The last layer of a finished graph: its scores, and other weights for it, in place.

The layer is read forwards once, and backwards by the explanations, whose copies of its matrix may be transposed and
stored in other forms: in float16, in bytes. All of them are replaced, so that what is explained stays the score that
the softmax gets. The new ones are stored in float32: seven rows are nothing beside the network.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from dermedge_export.graph.layers import drop_unused
from dermedge_runtime.errors import DermedgeError

_SAME = 0.02
"""Two stored forms of one matrix differ by less, as a share of its norm."""
_Floats = NDArray[np.float32]


def scores_of(proto: onnx.ModelProto) -> str:
    """Name of the tensor that the softmax gets: the scores (logits), float32 [B, classes].

    :raises DermedgeError: the graph ends otherwise.
    """
    for node in proto.graph.node:
        if "probabilities" in node.output and node.op_type == "Softmax":
            return str(node.input[0])
    raise DermedgeError("The graph does not end in a softmax, so its scores cannot be calibrated. Export it again.")


def rescale(proto: onnx.ModelProto, scale: NDArray[np.floating], offset: NDArray[np.floating]) -> None:
    """Make the scores z of a graph scale x z + offset, in place, by its last layer's weights alone.

    :param scale: float [classes], above 0.
    :param offset: float [classes].
    :raises DermedgeError: the scores do not come from one layer with constant weights.
    """
    layer = next((node for node in proto.graph.node if scores_of(proto) in node.output), None)
    known = _constants(proto)
    if layer is None or layer.op_type != "Gemm" or not {layer.input[1], layer.input[2]} <= set(known):
        raise DermedgeError("The last layer of the graph has no constant weights, so it cannot be calibrated.")
    turned = any(attribute.name == "transB" and attribute.i for attribute in layer.attribute)
    matrix = known[layer.input[1]] if turned else known[layer.input[1]].T  # [classes, inputs]
    column = scale.astype(np.float32)[:, None]
    renamed: dict[str, str] = {}
    for name, form in _forms(known, matrix):
        scaled = matrix * column if form.shape == matrix.shape else (matrix * column).T
        renamed[name] = _store(proto, name, scaled)
    bias = known[layer.input[2]].reshape(-1) * scale + offset
    renamed[layer.input[2]] = _store(proto, layer.input[2], bias)
    own = set(renamed.values())
    for node in proto.graph.node:
        if own.isdisjoint(node.output):
            for index, name in enumerate(node.input):
                # The bias's name may be that of another layer's in a graph that stores equal tensors once.
                if name in renamed and (name != layer.input[2] or node is layer):
                    node.input[index] = renamed[name]
    drop_unused(proto, [value.name for value in proto.graph.output])


def _forms(known: dict[str, _Floats], matrix: _Floats) -> Iterator[tuple[str, _Floats]]:
    """Give every constant that is the matrix or its transpose, however it is stored."""
    norm = float(np.linalg.norm(matrix))
    for name, value in known.items():
        if value.ndim == 2 and matrix.shape in (value.shape, value.shape[::-1]):
            own = value if value.shape == matrix.shape else value.T
            if np.linalg.norm(own - matrix) <= _SAME * norm:
                yield name, value


def _store(proto: onnx.ModelProto, name: str, values: NDArray[np.floating]) -> str:
    taken = {tensor.name for tensor in proto.graph.initializer}
    own, count = f"{name.removesuffix('_calibrated')}_calibrated", 1
    while own in taken and own != name:
        count += 1
        own = f"{name}_calibrated_{count}"
    stored = numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), own)
    kept = [tensor for tensor in proto.graph.initializer if tensor.name != own]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend([*kept, stored])
    return own


def _constants(proto: onnx.ModelProto) -> dict[str, _Floats]:
    """Give the float tensors that do not depend on the graph's inputs, as float32."""
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    constant, nodes = set(stored), []
    for node in proto.graph.node:
        if node.op_type == "Constant" or (node.input and set(node.input) - {""} <= constant):
            nodes.append(node)
            constant |= set(node.output)
    names = [name for node in nodes for name in node.output]
    found = {name: numpy_helper.to_array(tensor) for name, tensor in stored.items()}
    if names:
        outputs = [onnx.ValueInfoProto(name=name) for name in names]
        graph = onnx.helper.make_graph(nodes, "constants", [], outputs, list(stored.values()))
        model = onnx.helper.make_model(graph, opset_imports=list(proto.opset_import), ir_version=proto.ir_version)
        found |= dict(zip(names, ReferenceEvaluator(model).run(None, {}), strict=True))
    kinds = (np.float16, np.float32)
    return {name: value.astype(np.float32) for name, value in found.items() if value.dtype in kinds}
