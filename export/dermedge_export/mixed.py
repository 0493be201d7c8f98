"""Give layers of an INT8 graph back to float32: mixed precision for any QDQ graph, whatever device it is for."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx
from onnx import NodeProto

from .layers import drop_unused, layer_of

_PRODUCTS = ("Conv", "Gemm", "MatMul")


def quantised_layers(quantised: onnx.ModelProto) -> list[str]:
    """Names of the layers whose products are computed from dequantised values, in the order of the graph."""
    nodes = quantised.graph.node
    dequantised = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    products = [node for node in nodes if node.op_type in _PRODUCTS and dequantised & set(node.input)]
    return list(dict.fromkeys(layer_of(node) for node in products))


def keep_in_float(quantised: onnx.ModelProto, original: onnx.ModelProto, layers: Collection[str]) -> onnx.ModelProto:
    """Give a copy of a QDQ graph in which some layers compute in float32 with their original weights.

    A tensor that a layer still quantised reads or writes stays quantised for all; any other becomes float32 again.

    :param quantised: a graph whose nodes and unquantised tensors have the names they have in `original`.
    :param original: the FP32 graph it was made from.
    :param layers: names of the layers to keep; an unknown one changes nothing.
    """
    mixed = onnx.ModelProto()
    mixed.CopyFrom(quantised)
    before = {node.name: node for node in original.graph.node}
    weights = {tensor.name: tensor for tensor in original.graph.initializer}
    still = set(quantised_layers(quantised)) - set(layers)
    bound = _touched(before, still)
    present = {name for node in mixed.graph.node for name in node.output}
    present |= {tensor.name for tensor in mixed.graph.initializer}
    for node in mixed.graph.node:
        if node.name not in before or layer_of(node) in still:
            continue
        for index, name in enumerate(before[node.name].input):
            if name in weights and name not in present:
                mixed.graph.initializer.append(weights[name])
                present.add(name)
            if name in present and name not in bound:
                node.input[index] = name
    drop_unused(mixed, [value.name for value in mixed.graph.output])
    return mixed


def _touched(nodes: Mapping[str, NodeProto], layers: Collection[str]) -> set[str]:
    """Names of the tensors that these layers read or write."""
    own = [node for node in nodes.values() if layer_of(node) in layers]
    return {name for node in own for name in (*node.input, *node.output)}
