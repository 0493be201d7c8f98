"""A depthwise network written down node by node, with inputs for it: nothing is trained or traced."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dermedge_export.graph.layers import FEATURE_MAP

CHANNELS = 8
SIZE = 12
_RNG_SEED = 3


def depthwise_network() -> onnx.ModelProto:
    """Stem, then twice an inverted residual: 1 x 1 and depthwise 3 x 3 with ReLU6, and 1 x 1 without a rectifier."""
    rng = np.random.default_rng(_RNG_SEED)
    weights: list[TensorProto] = [
        numpy_helper.from_array(np.float32(0), "low"),
        numpy_helper.from_array(np.float32(6), "high"),
    ]
    nodes = []

    def convolution(name: str, read: str, written: str, shape: Sequence[int], group: int = 1) -> None:
        values = rng.normal(0.2, 1, shape) * np.sqrt(2 / np.prod(shape[1:])) * rng.uniform(0.2, 5, (shape[0], 1, 1, 1))
        weights.append(numpy_helper.from_array(values.astype(np.float32), f"{name}.weight"))
        weights.append(numpy_helper.from_array(rng.normal(0, 0.3, shape[0]).astype(np.float32), f"{name}.bias"))
        inputs, pads = [read, f"{name}.weight", f"{name}.bias"], [shape[2] // 2] * 4
        nodes.append(helper.make_node("Conv", inputs, [written], name=name, group=group, pads=pads))

    def clipped(name: str, read: str, written: str, shape: Sequence[int], group: int = 1) -> None:
        convolution(name, read, f"{written}_bare", shape, group)
        nodes.append(helper.make_node("Clip", [f"{written}_bare", "low", "high"], [written], name=f"{name}/Clip"))

    clipped("stem", "image", "s0", (CHANNELS, 3, 3, 3))
    convolution("first", "s0", "t0", (CHANNELS, CHANNELS, 1, 1))
    for index in (0, 1):
        clipped(f"wide{index}", f"t{index}", f"w{index}", (2 * CHANNELS, CHANNELS, 1, 1))
        clipped(f"depth{index}", f"w{index}", f"d{index}", (2 * CHANNELS, 1, 3, 3), group=2 * CHANNELS)
        convolution(f"narrow{index}", f"d{index}", f"n{index}", (CHANNELS, 2 * CHANNELS, 1, 1))
        nodes.append(helper.make_node("Add", [f"n{index}", f"t{index}"], [f"t{index + 1}"], name=f"narrow{index}/Add"))
    clipped("last", "t2", FEATURE_MAP, (CHANNELS, CHANNELS, 1, 1))
    weights.append(numpy_helper.from_array(np.array([2, 3]), "axes"))
    nodes.append(helper.make_node("ReduceMean", [FEATURE_MAP, "axes"], ["mean"], keepdims=0, name="mean"))
    nodes.append(helper.make_node("Softmax", ["mean"], ["probabilities"], name="softmax"))
    inputs = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", CHANNELS])]
    graph = helper.make_graph(nodes, "depthwise", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def pictures(seed: int, batches: int = 4) -> list[dict[str, np.ndarray]]:
    """Random inputs, 8 in a batch."""
    rng = np.random.default_rng(seed)
    return [{"image": rng.uniform(0, 1, (8, 3, SIZE, SIZE)).astype(np.float32)} for _ in range(batches)]
