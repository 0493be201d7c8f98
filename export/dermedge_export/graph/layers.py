"""The layers of an exported graph, by the names of their modules (`stages.3.conv2`).

A layer of the image branch is a convolution with the elementwise nodes after it: what one kernel computes on most
devices, and the unit in which a precision is chosen. Its nodes are named `LAYER` and `LAYER/OPERATOR`, so the layer can
be read off a node even after a quantiser has changed its inputs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import onnx

_WEIGHT_PREFIX, _WEIGHT_SUFFIX = "model.trunk.", ".weight"
_HEAD = "head."


def trunk_nodes(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Nodes that the pooled map depends on, in their order: the ancestors of the first mean after a convolution."""
    nodes = list(proto.graph.node)
    first = next((index for index, node in enumerate(nodes) if node.op_type == "Conv"), None)
    if first is None:
        return []
    producer = {output: node for node in nodes for output in node.output}
    pooling = next(node for node in nodes[first:] if node.op_type == "ReduceMean")
    found: set[str] = set()
    pending = [producer[name] for name in pooling.input if name in producer]
    while pending:
        node = pending.pop()
        if node.name not in found:
            found.add(node.name)
            pending += [producer[name] for name in node.input if name in producer]
    return [node for node in nodes if node.name in found]


def name_layers(proto: onnx.ModelProto) -> None:
    """Name the nodes of the image branch and the linear layers of the head after their modules, in place."""
    _name_linear_layers(proto)
    layer_of: dict[str, str] = {}  # of every tensor that a layer computes
    taken: set[str] = set()
    for node in trunk_nodes(proto):
        if node.op_type == "Conv":
            layer = name = node.input[1].removeprefix(_WEIGHT_PREFIX).removesuffix(_WEIGHT_SUFFIX)
        else:
            before = [layer_of[tensor] for tensor in node.input if tensor in layer_of]
            if not before:
                continue  # the scaling of the pixels and the preparation, which are no layer
            # Of a sum, the residual comes first: it joins the convolution before it, not the skip connection.
            layer = before[0]
            name = f"{layer}/{node.op_type}"
        assert name not in taken, f"two nodes would be called {name}"
        taken.add(name)
        node.name = name
        layer_of |= dict.fromkeys(node.output, layer)


def _name_linear_layers(proto: onnx.ModelProto) -> None:
    # The weight may have been transposed into a nameless constant, the bias keeps its name. Explanations run some
    # layers again, with the same weights: `head.clinical.0`, then `head.clinical.0/2`.
    uses: Counter[str] = Counter()
    for node in proto.graph.node:
        if node.op_type == "Gemm" and len(node.input) == 3 and _HEAD in node.input[2]:
            layer = _HEAD + node.input[2].partition(_HEAD)[2].removesuffix(".bias")
            uses[layer] += 1
            node.name = layer if uses[layer] == 1 else f"{layer}/{uses[layer]}"


def layer_of(node: onnx.NodeProto) -> str:
    """Name of the layer that a node belongs to; a node outside the image branch is a layer of its own."""
    return node.name.split("/")[0]


def trunk_layers(proto: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """Nodes of every layer of the image branch, in their order; empty for a network without one."""
    layers: dict[str, list[onnx.NodeProto]] = {}
    for node in trunk_nodes(proto):
        if node.op_type == "Conv" or layer_of(node) in layers:
            layers.setdefault(layer_of(node), []).append(node)
    return layers


def drop_unused(proto: onnx.ModelProto, outputs: Iterable[str]) -> None:
    """Take out, in place, nodes and initializers that none of `outputs` depends on."""
    graph = proto.graph
    needed = set(outputs)
    kept = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    initializers = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(initializers)
