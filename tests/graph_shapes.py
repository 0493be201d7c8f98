"""The shape of every tensor of a graph, twice: by the rules of the runtime, and from ONNX Runtime."""

import numpy as np
import onnx
import onnxruntime

from dermedge_runtime.model.scanner.graph import read_graph
from dermedge_runtime.model.scanner.sizes import Rows, _Walk

Shapes = dict[str, tuple[int, ...]]


def shapes_by_rule(model: onnx.ModelProto, rows: int, names: list[str], fed: Rows | None = None) -> Shapes:
    """Follow the rules that tell how much memory a file can take.

    :param fed: by input without a size, the shape of the rows that it is fed with.
    """
    graph = read_graph(model.SerializeToString())
    walk = _Walk(graph, rows, fed or {})
    for node in graph.nodes:
        walk.step(node)
    return {name: walk.shapes[name] for name in names}


def shapes_by_running(model: onnx.ModelProto, rows: int, fed: Rows | None = None) -> Shapes:
    """Run a graph with every tensor as an output."""
    shown, names = onnx.ModelProto(), [name for node in model.graph.node for name in node.output if name]
    shown.CopyFrom(model)
    del shown.graph.output[:]
    shown.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    kinds = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(int32)": np.int32}
    shapes = {value.name: (fed or {}).get(value.name, value.shape[1:]) for value in session.get_inputs()}
    feed = {v.name: np.zeros((rows, *shapes[v.name]), kinds[v.type]) for v in session.get_inputs()}
    return {name: value.shape for name, value in zip(names, session.run(names, feed), strict=True)}
