"""Give layers of an INT8 graph back to float32: mixed precision for any QDQ graph, whatever device it is for."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from dermedge_export.graph.layers import PRODUCTS, drop_unused, layer_of

_LOOKED_THROUGH = {"QuantizeLinear", "Relu", "Clip"}


def quantised_layers(quantised: onnx.ModelProto) -> list[str]:
    """Names of the layers whose products are computed from dequantised values, in the order of the graph."""
    nodes = quantised.graph.node
    dequantised = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    products = [node for node in nodes if _is_product(node) and dequantised.issuperset(node.input[:2])]
    return list(dict.fromkeys(layer_of(node) for node in products))


def _is_product(node: NodeProto) -> bool:
    return node.op_type in PRODUCTS


def keep_in_float(quantised: onnx.ModelProto, original: onnx.ModelProto, layers: Collection[str]) -> onnx.ModelProto:
    """Give a copy of a QDQ graph in which some layers compute in float32 with their original weights.

    A tensor that a layer still quantised reads or writes stays quantised for all; any other becomes float32 again.

    :param quantised: a graph whose nodes and unquantised tensors have the names they have in `original`; rectifiers
        that the step of what follows stands for may be missing.
    :param original: the FP32 graph it was made from.
    :param layers: names of the layers to keep; an unknown one changes nothing.
    """
    partly_int8 = onnx.ModelProto()
    partly_int8.CopyFrom(quantised)
    nodes = [copy.deepcopy(node) for node in quantised.graph.node]
    still = set(quantised_layers(quantised)) - set(layers)
    floats = _Floats(partly_int8, original, still)
    del partly_int8.graph.node[:]
    for node in nodes:
        own = node.name not in floats.nodes or layer_of(node) in still
        partly_int8.graph.node.extend([node] if own else floats.restored(node))
    drop_unused(partly_int8, [value.name for value in partly_int8.graph.output])
    _shield(partly_int8)
    return partly_int8


class _Floats:
    """Nodes of the FP32 graph, to be put in the place of quantised ones."""

    def __init__(self, partly_int8: onnx.ModelProto, original: onnx.ModelProto, still: Collection[str]) -> None:
        self.nodes: Mapping[str, NodeProto] = {node.name: node for node in original.graph.node}
        self._graph = partly_int8.graph
        self._weights = {tensor.name: tensor for tensor in original.graph.initializer}
        self._stored = {tensor.name: tensor for tensor in partly_int8.graph.initializer}
        self._bound = _touched(self.nodes, still)
        self._computed = {name for node in partly_int8.graph.node for name in node.output}
        self._readers: dict[str, list[NodeProto]] = {}
        for node in original.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)

    def restored(self, quantised: NodeProto) -> list[NodeProto]:
        """Give the original of a node, and of the rectifiers after it that the quantiser took out."""
        found = [self._copy(self.nodes[quantised.name], quantised)]
        while quantised.output[0] not in found[-1].output:
            (rectifier,) = self._readers[found[-1].output[0]]
            found.append(self._copy(rectifier))
        self._computed |= {name for node in found for name in node.output}
        return found

    def _copy(self, original: NodeProto, quantised: NodeProto | None = None) -> NodeProto:
        node = copy.deepcopy(original)
        for index, name in enumerate(original.input):
            if name in self._weights:
                node.input[index] = self._weight(self._weights[name])
            elif quantised is not None and (name in self._bound or name not in self._computed):
                node.input[index] = quantised.input[index]
        return node

    def _weight(self, weight: TensorProto) -> str:
        stored = self._stored.get(weight.name)
        if stored is not None and np.array_equal(numpy_helper.to_array(stored), numpy_helper.to_array(weight)):
            return str(weight.name)
        # A new name: the quantiser may have given the weight's own to its dequantised value.
        name = f"{weight.name}_float"
        if name not in self._stored:
            self._graph.initializer.append(weight)
            self._graph.initializer[-1].name = name
            self._stored[name] = self._graph.initializer[-1]
        return name


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


def _touched(nodes: Mapping[str, NodeProto], layers: Collection[str]) -> set[str]:
    """Names of the tensors that these layers read or write."""
    own = [node for node in nodes.values() if layer_of(node) in layers]
    return {name for node in own for name in (*node.input, *node.output)}
