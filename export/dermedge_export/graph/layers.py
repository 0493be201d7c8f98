"""The layers of an exported graph, by the names of their modules (`stages.3.conv2`).

A layer of the image branch is a product with constant weights (a convolution, a matrix product) and what follows it up
to the next product: what one kernel computes on most devices, and the unit in which a precision is chosen. Its nodes
are named `LAYER` and `LAYER/OPERATOR`, so the layer can be read off a node even after a quantiser has changed its
inputs. Where the image branch ends is not guessed: its last feature map has a name of its own, `FEATURE_MAP`.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import onnx

FEATURE_MAP = "feature_map"
"""Name of the tensor that the image branch ends in; of an ensemble's members each has its own, `feature_map_0`."""
PRODUCTS = ("Conv", "Gemm", "MatMul")
_IS_FEATURE_MAP = re.compile(rf"{FEATURE_MAP}(_\d+)?")
_IN_TRUNK = re.compile(r"model\.(members\.\d+\.)?(?:network\.)?(?:trunk\.|(?=texture\.))(.+)")
"""A module of an image branch, or what mixes textures into its picture; layers are named after the groups."""
_IN_HEAD = re.compile(r"(?:.*\.(?:members|heads)\.(\d+))?.*?\b(head\..+)")
_WEIGHT_SUFFIX = ".weight"
_SHRINKING, _NO_LAYER = ".shrinking", "shrinking"
"""What shrinks the picture for a member of an ensemble: products with constants that are no layer, and stay float32."""
_SCOPES = "pkg.torch.onnx.name_scopes"


def feature_maps(proto: onnx.ModelProto) -> list[str]:
    """Names of the tensors that the image branches end in; several in an ensemble, none where no picture is read."""
    return [name for node in proto.graph.node for name in node.output if _IS_FEATURE_MAP.fullmatch(name)]


def trunk_nodes(proto: onnx.ModelProto, ends: Sequence[str] | None = None) -> list[onnx.NodeProto]:
    """Nodes that last feature maps depend on, in their order; the preparation of the picture is among them.

    :param ends: by default all `feature_maps`.
    """
    producer = {output: node for node in proto.graph.node for output in node.output}
    found: set[str] = set()
    pending = list(feature_maps(proto) if ends is None else ends)
    while pending:
        name = pending.pop()
        if name in producer and name not in found:
            found.add(name)
            pending += producer[name].input
    return [node for node in proto.graph.node if not found.isdisjoint(node.output)]


def float_tensors(proto: onnx.ModelProto) -> set[str]:
    """Names of the tensors of 32-bit floats; the graph's shapes are computed in whole numbers."""
    inferred = onnx.shape_inference.infer_shapes(proto).graph
    values = [*inferred.value_info, *inferred.input, *inferred.output]
    floats = {value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}
    return floats | {tensor.name for tensor in inferred.initializer if tensor.data_type == onnx.TensorProto.FLOAT}


def name_layers(proto: onnx.ModelProto) -> None:
    """Name the nodes of the image branch and the linear layers of the head after their modules, in place.

    :param proto: with the exporter's traces, which say what module a node comes from.
    """
    _name_linear_layers(proto)
    layer_of: dict[str, str] = {}  # of every tensor that a layer computes
    order: dict[str, int] = {}
    uses: Counter[str] = Counter()
    floats, computed = float_tensors(proto), _computed(proto)
    for node in trunk_nodes(proto):
        if any(_SHRINKING in scope for scope in _scopes(node)):
            node.name = f"{_NO_LAYER}/{node.output[0]}"
            continue
        if node.op_type in PRODUCTS and node.input[1] not in computed:
            layer = name = _module_of(node)
        else:
            before = [layer_of[tensor] for tensor in node.input if tensor in layer_of]
            if not before or node.output[0] not in floats:
                continue  # the scaling of the pixels, the preparation and the computing of shapes are no layers
            # What joins two branches belongs to the last product before it, not to the skip connection.
            layer = max(before, key=order.__getitem__)
            name = f"{layer}/{node.op_type}"
        uses[name] += 1
        node.name = name if uses[name] == 1 else f"{name}/{uses[name]}"
        order.setdefault(layer, len(order))
        layer_of |= dict.fromkeys(node.output, layer)


def _computed(proto: onnx.ModelProto) -> set[str]:
    """Names of the tensors that depend on the graph's inputs."""
    found = {value.name for value in proto.graph.input}
    for node in proto.graph.node:
        if not found.isdisjoint(node.input):
            found |= set(node.output)
    return found


def _module_of(node: onnx.NodeProto) -> str:
    """Name of the module whose weights a product has: by the weights, which may have lost their own name."""
    weight: str = node.input[1]
    if (found := _IN_TRUNK.fullmatch(weight)) and weight.endswith(_WEIGHT_SUFFIX):
        return _module(found).removesuffix(_WEIGHT_SUFFIX)
    modules = [_module(found) for scope in _scopes(node) if (found := _IN_TRUNK.fullmatch(scope))]
    return modules[-1] if modules else str(node.output[0]).replace("/", ".")


def _scopes(node: onnx.NodeProto) -> list[str]:
    """Names of the modules that a node comes from, the outermost first."""
    traces = {entry.key: entry.value for entry in node.metadata_props}
    scopes: list[str] = ast.literal_eval(traces.get(_SCOPES, "[]"))
    return scopes


def _module(found: re.Match[str]) -> str:
    return f"{found[1] or ''}{found[2]}"


def _name_linear_layers(proto: onnx.ModelProto) -> None:
    # The weight may have been transposed into a nameless constant, the bias keeps its name. Explanations run some
    # layers again, with the same weights: `head.clinical.0`, then `head.clinical.0/2`.
    uses: Counter[str] = Counter()
    for node in proto.graph.node:
        if node.op_type != "Gemm" or len(node.input) < 3 or _IN_TRUNK.fullmatch(node.input[2]):
            continue
        if found := _IN_HEAD.fullmatch(node.input[2]):
            member = "" if found[1] is None else f"members.{found[1]}."
            layer = f"{member}{found[2].removesuffix('.bias')}"
            uses[layer] += 1
            node.name = layer if uses[layer] == 1 else f"{layer}/{uses[layer]}"


def layer_of(node: onnx.NodeProto) -> str:
    """Name of the layer that a node belongs to; a node outside the image branch is a layer of its own."""
    return node.name.split("/")[0]


def trunk_layers(proto: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """Nodes of every layer of the image branch, in their order; empty for a network without one."""
    layers: dict[str, list[onnx.NodeProto]] = {}
    for node in trunk_nodes(proto):
        if layer_of(node) == _NO_LAYER:
            continue
        if node.op_type in PRODUCTS or layer_of(node) in layers:
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
