"""Channels that share one INT8 range get similar ranges: scaled by the convolutions that write them, scaled
back by those that read them (Nagel et al. 2019, arXiv:1906.04721).

An activation has one step for all its channels, so a channel that is ten times smaller than another one has a tenth of
its levels. Between convolutions a positive factor per channel passes through sums, maxima and (leaky) rectifiers
unchanged: the network computes the same, up to rounding of float32. How far the factors go is a trade: what makes a
channel larger makes the weights that read it smaller, and these share one step too.

Covered: channels that nothing but convolutions, Add, MaxPool, Relu and LeakyRelu touch. Not covered, because a factor
does not pass through exactly: ReLU6 (its bound would have to become one per channel; scaling up to the bound only was
tried on EfficientNet-Lite0 and brought nothing), HardSwish and other curves, concatenations, and the last feature map.

Not part of a conversion: beside corrected biases it brought nothing certain on EfficientNet-Lite0
(benchmarks/int8_passes.py measures it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, numpy_helper

from dermedge_export.graph.layers import FEATURE_MAP, trunk_nodes

from .graph_parts import attribute, run_all

STRENGTH = 0.25
"""Power of the range that is divided out: 0 leaves the channels as they are, 1 makes their ranges equal. Of 0.25, 0.5
and 1 on EfficientNet-Lite0 the best (benchmarks/int8_passes.py)."""
_EXACT = ("Add", "Relu", "LeakyRelu", "MaxPool")
_SMALLEST = 1e-3
"""A channel's range counts as at least this share of the largest one: a dead channel has no range."""


@dataclass(slots=True)
class _Space:
    """Tensors whose channels can only be scaled together."""

    tensors: set[str] = field(default_factory=set)
    writers: list[NodeProto] = field(default_factory=list)
    readers: list[NodeProto] = field(default_factory=list)
    fixed: bool = False
    """Something touches the channels that no factor passes through."""


def equalise(proto: onnx.ModelProto, batches: Iterable[Mapping[str, Any]]) -> int:
    """Scale the channels of the image branch, in place.

    :param proto: FP32 graph of `to_onnx`, its batch normalisations folded.
    :param batches: graph inputs of real training photographs.
    :return: how many groups of tensors were scaled.
    """
    spaces = _free_spaces(proto)
    names = sorted({name for space in spaces for name in space.tensors})
    if not names:
        return 0
    ranges: dict[str, NDArray[np.float64]] = {}
    for values in run_all(proto, names, batches):
        for name, value in values.items():
            largest = np.abs(value).max(axis=(0, *range(2, value.ndim))).astype(np.float64)
            ranges[name] = np.maximum(ranges.get(name, 0), largest)
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    for space in spaces:
        _scale(space, _factors(np.max([ranges[name] for name in space.tensors], axis=0)), stored)
    return len(spaces)


def _factors(ranges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give positive factors per channel whose geometric mean is 1."""
    factors = np.maximum(ranges, max(_SMALLEST * ranges.max(), np.finfo(np.float32).tiny)) ** -STRENGTH
    scaled: NDArray[np.float64] = factors / np.exp(np.log(factors).mean())
    return scaled


def _scale(space: _Space, factors: NDArray[np.float64], stored: dict[str, TensorProto]) -> None:
    for node in space.writers:
        for name in node.input[1:3]:
            _multiply(stored[name], factors, axis=0)
    for node in space.readers:
        _multiply(stored[node.input[1]], 1 / factors, axis=0 if _is_depthwise(node, stored) else 1)


def _multiply(tensor: TensorProto, factors: NDArray[np.float64], axis: int) -> None:
    values = numpy_helper.to_array(tensor)
    shape = [-1 if index == axis else 1 for index in range(values.ndim)]
    tensor.CopyFrom(numpy_helper.from_array((values * factors.reshape(shape)).astype(np.float32), tensor.name))


def _free_spaces(proto: onnx.ModelProto) -> list[_Space]:
    """Find the groups of tensors that may be scaled, in the order of the graph."""
    nodes = trunk_nodes(proto)
    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    space_of: dict[str, _Space] = {}

    def join(names: Iterable[str]) -> _Space:
        spaces = {id(space): space for space in (space_of.get(name) for name in names) if space is not None}
        first = next(iter(spaces.values()), _Space())
        for other in list(spaces.values())[1:]:
            first.tensors |= other.tensors
            first.writers += other.writers
            first.readers += other.readers
            first.fixed |= other.fixed
        first.tensors |= set(names)
        space_of.update(dict.fromkeys(first.tensors, first))
        return first

    for node in nodes:
        if node.op_type == "Conv":
            written, read = join(node.output), join(node.input[:1])
            written.writers.append(node)
            read.readers.append(node)
            if not _has_own_weights(node, stored, proto):
                written.fixed = read.fixed = True
            if attribute(node, "group", 1) > 1 and not _is_depthwise(node, stored):
                read.fixed = True
        elif node.op_type in _EXACT and stored.keys().isdisjoint(node.input):
            join([*node.input, *node.output])
        else:
            for name in (*node.input, *node.output):
                join([name]).fixed = True
    _fix_borders(proto, nodes, space_of)
    unique = {id(space): space for space in space_of.values()}
    return [space for space in unique.values() if not space.fixed and space.writers and space.readers]


def _fix_borders(proto: onnx.ModelProto, nodes: list[NodeProto], space_of: Mapping[str, _Space]) -> None:
    """What the graph is given, what it gives, and what the rest of it reads stays as it is."""
    inside = {output for node in nodes for output in node.output}
    read_outside = {name for node in proto.graph.node if inside.isdisjoint(node.output) for name in node.input}
    outputs = {value.name for value in proto.graph.output}
    for name, space in space_of.items():
        if name not in inside or name in read_outside or name in outputs or name == FEATURE_MAP:
            space.fixed = True


def _has_own_weights(node: NodeProto, stored: Mapping[str, TensorProto], proto: onnx.ModelProto) -> bool:
    own = set(node.input[1:3])
    return own <= stored.keys() and not any(own & set(other.input) for other in proto.graph.node if other is not node)


def _is_depthwise(node: NodeProto, stored: Mapping[str, TensorProto]) -> bool:
    shape = stored[node.input[1]].dims
    return bool(attribute(node, "group", 1) == shape[0] and shape[1] == 1 and shape[0] > 1)
