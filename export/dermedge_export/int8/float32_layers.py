"""Give layers of an INT8 graph back to float32: mixed precision for any QDQ graph, whatever device it is for."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx
from onnx import NodeProto, TensorProto, helper

from dermedge_export.graph.layers import drop_unused, layer_of

_PRODUCTS = ("Conv", "Gemm", "MatMul")
_LOOKED_THROUGH = {"QuantizeLinear", "Relu", "Clip"}


def quantised_layers(quantised: onnx.ModelProto) -> list[str]:
    """Names of the layers whose products are computed from dequantised values, in the order of the graph."""
    nodes = quantised.graph.node
    dequantised = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    products = [node for node in nodes if _is_product(node) and dequantised.issuperset(node.input[:2])]
    return list(dict.fromkeys(layer_of(node) for node in products))


def _is_product(node: NodeProto) -> bool:
    return node.op_type in _PRODUCTS


def keep_in_float(quantised: onnx.ModelProto, original: onnx.ModelProto, layers: Collection[str]) -> onnx.ModelProto:
    """Give a copy of a QDQ graph in which some layers compute in float32 with their original weights.

    A tensor that a layer still quantised reads or writes stays quantised for all; any other becomes float32 again.

    :param quantised: a graph whose nodes and unquantised tensors have the names they have in `original`.
    :param original: the FP32 graph it was made from.
    :param layers: names of the layers to keep; an unknown one changes nothing.
    """
    partly_int8 = onnx.ModelProto()
    partly_int8.CopyFrom(quantised)
    before = {node.name: node for node in original.graph.node}
    weights = {tensor.name: tensor for tensor in original.graph.initializer}
    still = set(quantised_layers(quantised)) - set(layers)
    bound = _touched(before, still)
    present = {name: node.op_type for node in partly_int8.graph.node for name in node.output}
    present |= {tensor.name: "" for tensor in partly_int8.graph.initializer}
    for node in partly_int8.graph.node:
        if node.name not in before or layer_of(node) in still:
            continue
        for index, name in enumerate(before[node.name].input):
            if name in weights and present.get(name, "DequantizeLinear") == "DequantizeLinear":
                node.input[index] = _restore(partly_int8, weights[name], present)
            elif name in present and name not in bound:
                node.input[index] = name
    drop_unused(partly_int8, [value.name for value in partly_int8.graph.output])
    _shield(partly_int8)
    return partly_int8


def _shield(partly_int8: onnx.ModelProto) -> None:
    """Keep ONNX Runtime from quantising a kept product by itself, in place.

    Where a product with constant float32 weights stands between a DequantizeLinear and a QuantizeLinear, its optimiser
    rounds the weights to INT8 with one scale for all channels. A leaky rectifier of slope 1 behind the product computes
    nothing, is fused with it, and is none of the operators that the optimiser looks through.
    """
    nodes = list(partly_int8.graph.node)
    dequantised = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    readers: dict[str, set[str]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, set()).add(node.op_type)
    shielded: list[NodeProto] = []
    for node in nodes:
        shielded.append(node)
        kept = _is_product(node) and node.input[0] in dequantised and node.input[1] not in dequantised
        if kept and readers.get(node.output[0], set()) & _LOOKED_THROUGH:
            bare, name = f"{node.output[0]}_unshielded", node.output[0]
            node.output[0] = bare
            shielded.append(helper.make_node("LeakyRelu", [bare], [name], name=f"{node.name}/shield", alpha=1.0))
    del partly_int8.graph.node[:]
    partly_int8.graph.node.extend(shielded)


def _restore(partly_int8: onnx.ModelProto, weight: TensorProto, present: dict[str, str]) -> str:
    # A new name: the quantiser may have given the weight's own to its dequantised value.
    name = f"{weight.name}_float"
    if name not in present:
        present[name] = ""
        partly_int8.graph.initializer.append(weight)
        partly_int8.graph.initializer[-1].name = name
    return name


def _touched(nodes: Mapping[str, NodeProto], layers: Collection[str]) -> set[str]:
    """Names of the tensors that these layers read or write."""
    own = [node for node in nodes.values() if layer_of(node) in layers]
    return {name for node in own for name in (*node.input, *node.output)}
