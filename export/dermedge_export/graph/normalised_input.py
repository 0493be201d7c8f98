"""Fold the normalisation of the picture into the first convolution: (x - mean) / deviation, colour by colour.

Image branches side by side have a first convolution each; those that normalise alike may share the nodes.
A deviation only scales the weights that read its colour. A mean is a part of the bias, but not where the convolution
pads the picture with zeros: those stand for the mean itself, so there the subtraction stays. Both are exact up to
rounding. Not covered: the division by 255, which what prepares the picture comes after.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, helper, numpy_helper

from .layers import drop_unused, trunk_nodes


@dataclass(slots=True)
class Normalised:
    """The first convolutions that read one tensor, and factor * x + shift of every colour before them."""

    convolutions: list[NodeProto]
    """One; several where image branches side by side normalise the picture alike."""
    source: str
    """Name of the tensor x."""
    factor: NDArray[np.float64]
    shift: NDArray[np.float64]
    nodes: list[NodeProto]
    """Between x and the convolutions."""


def normalised_inputs(proto: onnx.ModelProto) -> list[Normalised]:
    """Find what is computed colour by colour between the picture and the first convolutions, one entry a tensor."""
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    by_tensor: dict[str, list[NodeProto]] = {}
    behind: set[str] = set()  # what a convolution has been applied to
    for node in trunk_nodes(proto):
        first = behind.isdisjoint(node.input)
        if first and node.op_type == "Conv":
            by_tensor.setdefault(node.input[0], []).append(node)
        if not first or node.op_type == "Conv":
            behind |= set(node.output)
    found = (_normalised(proto, tensor, each, constants) for tensor, each in by_tensor.items())
    return [each for each in found if each is not None]


def _normalised(
    proto: onnx.ModelProto, tensor: str, convolutions: list[NodeProto], constants: dict[str, onnx.TensorProto]
) -> Normalised | None:
    weights = [constants.get(conv.input[1]) for conv in convolutions]
    if any(each is None or readers(proto, each.name) != 1 for each in weights):
        return None
    producer = {output: node for node in proto.graph.node for output in node.output}
    colours = next(each.dims[1] for each in weights if each is not None)
    found = Normalised(convolutions, tensor, np.ones(colours), np.zeros(colours), [])
    readings = len(convolutions)
    while (node := producer.get(found.source)) is not None and readers(proto, found.source) == readings:
        values = _by_colour(constants.get(node.input[1]), colours) if node.op_type in ("Sub", "Div") else None
        if values is None:
            break
        if node.op_type == "Sub":
            found.shift -= found.factor * values
        else:
            found.factor /= values
        found.source = node.input[0]
        found.nodes.insert(0, node)
        readings = 1
    return found if found.nodes else None


def fold_normalisation(proto: onnx.ModelProto) -> None:
    """Fold it in place; where there is none, or a first convolution is in groups, the graph stays as it is."""
    foldable = [
        found
        for found in normalised_inputs(proto)
        if all(attribute(conv, "group", 1) == 1 for conv in found.convolutions)
    ]
    for found in foldable:
        _fold(proto, found)
    if foldable:  # at the end: it copies the nodes that are found
        drop_unused(proto, [value.name for value in proto.graph.output])


def _fold(proto: onnx.ModelProto, found: Normalised) -> None:
    kept = False
    for conv in found.convolutions:
        weights = next(tensor for tensor in proto.graph.initializer if tensor.name == conv.input[1])
        values = numpy_helper.to_array(weights).astype(np.float64)
        scaled = values * found.factor[:, None, None]
        weights.CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), weights.name))
        if _pads(conv) and found.shift.any():
            kept = True
            continue
        if not _pads(conv):
            add_to_bias(proto, conv, (values * found.shift[:, None, None]).sum(axis=(1, 2, 3)))
        conv.input[0] = found.source
    if kept:
        _keep_mean(proto, found)


def _keep_mean(proto: onnx.ModelProto, found: Normalised) -> None:
    """Put the subtraction of the mean alone in the place of the whole normalisation."""
    last = found.nodes[-1]
    values = (-found.shift / found.factor).astype(np.float32).reshape(1, -1, 1, 1)
    mean = numpy_helper.from_array(values, f"{last.output[0]}/mean")
    proto.graph.initializer.append(mean)
    last.CopyFrom(helper.make_node("Sub", [found.source, mean.name], list(last.output), name=last.name))


def _pads(conv: NodeProto) -> bool:
    padded = attribute(conv, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    return padded or any(attribute(conv, "pads", [0]))


def add_to_bias(proto: onnx.ModelProto, conv: NodeProto, change: NDArray[np.float64]) -> None:
    """Add float64 [channels] to the bias of a convolution, in place; another convolution may share the old one."""
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    old = numpy_helper.to_array(stored[conv.input[2]]) if len(conv.input) == 3 else np.zeros(len(change))
    name = f"{conv.input[1].removesuffix('.weight')}.bias_with_mean"
    del conv.input[2:]
    conv.input.append(name)
    if name in stored:
        proto.graph.initializer.remove(stored[name])
    proto.graph.initializer.append(numpy_helper.from_array((old + change).astype(np.float32), name))


def readers(proto: onnx.ModelProto, tensor: str) -> int:
    """Count how often a tensor is read."""
    return sum(name == tensor for node in proto.graph.node for name in node.input)


def attribute(node: NodeProto, name: str, default: Any) -> Any:
    """Give an attribute of a node, or `default` where it has none."""
    return next((helper.get_attribute_value(entry) for entry in node.attribute if entry.name == name), default)


def _by_colour(tensor: onnx.TensorProto | None, colours: int) -> NDArray[np.float64] | None:
    """Give a constant that has one value a colour; None for any other tensor."""
    if tensor is None or list(tensor.dims)[-3:] != [colours, 1, 1]:
        return None
    return numpy_helper.to_array(tensor).astype(np.float64).reshape(-1)
