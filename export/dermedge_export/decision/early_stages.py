"""The early stages of an image branch, and the statistics of their channels that tell an unfamiliar picture.

A stage is what the branch has made of the picture when it next halves its height and width; its tensor is the last one
of that size among those with the fewest channels: the block's own output in a network of bottlenecks, and the cheapest
one to look at. Mean and standard deviation of every channel over the picture are its statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from dermedge_export.graph.graph_parts import run_all
from dermedge_export.graph.layers import feature_maps, trunk_nodes

MOST_CHANNELS = 256
"""Of a stage that is looked at: with more of them the matrices of a fit would be no small part of the file."""
_SMALLEST_SIDE = 4
_FIRST_OF_HEAD = "head.image.0"
_COLOURS = 3
_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Stage:
    """A tensor of the image branch, [B, channels, side, side]."""

    tensor: str
    channels: int
    side: int
    half: bool
    """Whether its numbers are of 16 bits."""

    @property
    def statistics(self) -> str:
        """Name of the tensor that `add_statistics` makes: float32 [B, 2 * channels]."""
        return f"statistics_of_{self.tensor}"


def early_stages(proto: onnx.ModelProto, example: Mapping[str, Any]) -> list[Stage]:
    """Find the stages of a finished graph of any precision, the earliest first.

    :param example: inputs of the graph, of one or several rows; what is in them does not matter.
    :return: empty for a graph that reads no picture. The last feature map is none of them.
    """
    nodes = trunk_nodes(proto)
    rounded = {node.input[0] for node in nodes if node.op_type == "QuantizeLinear"}
    # A tensor that is rounded next is computed together with its rounding: what comes back of it is looked at instead.
    left_out = rounded.union(feature_maps(proto))
    names = [name for node in nodes for name in node.output if name not in left_out]
    found: dict[int, Stage] = {}
    for name, array in next(run_all(proto, names, [example])).items():
        if array.ndim != 4 or not np.issubdtype(array.dtype, np.floating):
            continue
        channels, side = array.shape[1], min(array.shape[2:])
        if not _COLOURS < channels <= MOST_CHANNELS or side < _SMALLEST_SIDE:
            continue
        if side not in found or channels <= found[side].channels:
            found[side] = Stage(name, channels, side, half=array.dtype == np.float16)
    return [found[side] for side in sorted(found, reverse=True)]


def last_features(proto: onnx.ModelProto) -> list[str]:
    """Names of the pooled tensors that heads read of image branches, float32 [B, channels]; an ensemble has several."""
    return [str(node.input[0]) for node in proto.graph.node if node.name.endswith(_FIRST_OF_HEAD)]


def add_statistics(proto: onnx.ModelProto, stage: Stage) -> None:
    """Compute the statistics of a stage, in place; see `Stage.statistics`."""
    graph, name = proto.graph, stage.statistics
    source = stage.tensor
    nodes = []
    if stage.half:
        source = f"{name}/whole"
        nodes.append(helper.make_node("Cast", [stage.tensor], [source], to=TensorProto.FLOAT))
    constants: dict[str, NDArray[Any]] = {
        f"{name}/axes": np.array([2, 3], dtype=np.int64),
        f"{name}/pixels": np.array(stage.side**2, dtype=np.float32),
        f"{name}/epsilon": np.array(_EPSILON, dtype=np.float32),
    }
    # Two passes over the tensor and no copy of it: what is left after them is as small as the channels are few.
    nodes += [
        helper.make_node("ReduceMean", [source, f"{name}/axes"], [f"{name}/mean"], keepdims=0),
        helper.make_node("ReduceSumSquare", [source, f"{name}/axes"], [f"{name}/squares"], keepdims=0),
        helper.make_node("Div", [f"{name}/squares", f"{name}/pixels"], [f"{name}/mean_square"]),
        helper.make_node("Mul", [f"{name}/mean", f"{name}/mean"], [f"{name}/square_mean"]),
        helper.make_node("Sub", [f"{name}/mean_square", f"{name}/square_mean"], [f"{name}/variance"]),
        helper.make_node("Max", [f"{name}/variance", f"{name}/epsilon"], [f"{name}/positive"]),
        helper.make_node("Sqrt", [f"{name}/positive"], [f"{name}/deviation"]),
        helper.make_node("Concat", [f"{name}/mean", f"{name}/deviation"], [name], axis=1),
    ]
    for node in nodes:
        node.name = f"{node.output[0]}/{node.op_type}"
    graph.initializer.extend(onnx.numpy_helper.from_array(value, key) for key, value in constants.items())
    graph.node.extend(nodes)
