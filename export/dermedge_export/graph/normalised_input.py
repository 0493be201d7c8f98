"""Fold the normalisation of the picture into the first convolution: (x - mean) / deviation, colour by colour.

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
    """The first convolution, and factor * x + shift of every colour before it."""

    convolution: NodeProto
    source: str
    """Name of the tensor x."""
    factor: NDArray[np.float64]
    shift: NDArray[np.float64]
    nodes: list[NodeProto]
    """Between x and the convolution."""


def normalised_input(proto: onnx.ModelProto) -> Normalised | None:
    """Find what is computed colour by colour between the picture and the first convolution; None: nothing is."""
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    producer = {output: node for node in proto.graph.node for output in node.output}
    convolution = next((node for node in trunk_nodes(proto) if node.op_type == "Conv"), None)
    if convolution is None or convolution.input[1] not in constants or readers(proto, convolution.input[1]) != 1:
        return None
    colours = constants[convolution.input[1]].dims[1]
    found = Normalised(convolution, convolution.input[0], np.ones(colours), np.zeros(colours), [])
    while (node := producer.get(found.source)) is not None and readers(proto, found.source) == 1:
        values = _by_colour(constants.get(node.input[1]), colours) if node.op_type in ("Sub", "Div") else None
        if values is None:
            break
        if node.op_type == "Sub":
            found.shift -= found.factor * values
        else:
            found.factor /= values
        found.source = node.input[0]
        found.nodes.insert(0, node)
    return found if found.nodes else None


def fold_normalisation(proto: onnx.ModelProto) -> None:
    """Fold it in place; a graph without one, or with a first convolution in groups, stays as it is."""
    found = normalised_input(proto)
    if found is None or attribute(found.convolution, "group", 1) != 1:
        return
    conv = found.convolution
    weights = next(tensor for tensor in proto.graph.initializer if tensor.name == conv.input[1])
    values = numpy_helper.to_array(weights).astype(np.float64)
    scaled = values * found.factor[:, None, None]
    weights.CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), weights.name))
    padded = any(attribute(conv, "pads", [0])) or attribute(conv, "auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID")
    if not padded:
        add_to_bias(proto, conv, (values * found.shift[:, None, None]).sum(axis=(1, 2, 3)))
        conv.input[0] = found.source
    elif found.shift.any():
        mean = numpy_helper.from_array(
            (-found.shift / found.factor).astype(np.float32).reshape(1, -1, 1, 1), f"{conv.input[0]}/mean"
        )
        proto.graph.initializer.append(mean)
        subtraction = found.nodes[-1]
        kept = helper.make_node("Sub", [found.source, mean.name], list(subtraction.output), name=subtraction.name)
        subtraction.CopyFrom(kept)
    else:
        conv.input[0] = found.source
    drop_unused(proto, [value.name for value in proto.graph.output])


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
