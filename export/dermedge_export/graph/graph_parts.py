"""Run parts of a graph: any of its tensors, from its inputs or from tensors that are known already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

Arrays = dict[str, NDArray[Any]]


def run_all(proto: onnx.ModelProto, names: Sequence[str], batches: Iterable[Mapping[str, Any]]) -> Iterator[Arrays]:
    """Give the values of some tensors of a graph, batch by batch, so that no more than one has to be kept."""
    session, inputs = None, list[str]()
    for batch in batches:
        if session is None:
            session = _open(part(proto, batch, names))
            inputs = [value.name for value in session.get_inputs()]
        yield dict(zip(names, session.run(list(names), {name: batch[name] for name in inputs}), strict=True))


def run_from(proto: onnx.ModelProto, known: Sequence[Mapping[str, Any]], name: str) -> list[NDArray[Any]]:
    """Give one tensor of a graph for every batch of known tensors (graph inputs among them)."""
    session = _open(part(proto, known[0], [name]))
    inputs = [value.name for value in session.get_inputs()]
    return [session.run([name], {given: batch[given] for given in inputs})[0] for batch in known]


def part(proto: onnx.ModelProto, known: Mapping[str, Any], targets: Sequence[str]) -> onnx.ModelProto:
    """Cut out of a graph what computes `targets` from the tensors in `known`, whose values give their types."""
    needed, kept = set(targets), []
    for node in reversed(proto.graph.node):
        if any(name in needed and name not in known for name in node.output):
            needed |= set(node.input)
            kept.append(node)
    computed = {name for node in kept for name in node.output}
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.asarray(value).dtype), None)
        for name, value in known.items()
        if name in needed and name not in computed
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in targets]
    stored = [tensor for tensor in proto.graph.initializer if tensor.name in needed]
    graph = helper.make_graph(kept[::-1], "part", inputs, outputs, stored)
    return helper.make_model(graph, opset_imports=list(proto.opset_import), ir_version=proto.ir_version)


def readable(proto: onnx.ModelProto, known: Iterable[str]) -> set[str]:
    """Names of the tensors in `known` that the outputs of a graph still depend on, the others being known too."""
    computed = set(known)
    needed = {value.name for value in proto.graph.output}
    for node in reversed(proto.graph.node):
        if any(name in needed and name not in computed for name in node.output):
            needed |= set(node.input)
    return needed & computed


def _open(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # a part without shapes is warned of
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
