"""Do HardSwish and the gates of squeeze-and-excitation pay in INT8? Random weights; time, size, what stays in float32.

    python benchmarks/int8_curves.py [--image-branch mobilenet_v3_large] [--size 192] [--rounds 60] [--out RESULT.json]

Times, in turn on one thread and by CPU time, the FP32 graph; INT8 as an export makes it (a convolution rounds what it
gives, the curve after it reads it as float32 and rounds again); the same with the gate's product on bytes; and with
HardSwish on bytes too, as x * ReLU6(x + 3), whose factor of 1/6 could be merged into the weights behind it and is left
out here. So the last one's answers mean nothing, and its time does. Operators are those that ONNX Runtime really runs.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx
import onnxruntime
import torch
from cpu_turns import cpu_turns, medians_ms
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader

from dermedge.data.ham10000 import CLASSES, HAM10000
from dermedge.models.classifier import FusedClassifier
from dermedge_export.graph.layers import trunk_nodes
from dermedge_export.graph.to_onnx import to_onnx
from dermedge_export.int8 import quantize as quantising
from dermedge_export.int8.calibration import RANGE_METHODS

_CALIBRATION = 4
_FLOAT_PRODUCTS = ("Conv", "FusedConv")
_INT8_PRODUCTS = ("QLinearConv",)


class _Pictures(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, feeds: Sequence[dict[str, np.ndarray]]) -> None:
        self._feeds = list(feeds)
        self._pending = iter(self._feeds)

    def __len__(self) -> int:
        return len(self._feeds)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Give only these next."""
        self._pending = iter(self._feeds[start_index:end_index])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Give the next picture."""
        return next(self._pending, None)


def feed_of(size: int, seed: int) -> dict[str, np.ndarray]:
    """One random picture and patient."""
    picture = np.random.default_rng(seed).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    return {
        "image": picture,
        "numeric": np.full((1, 1), 60, np.float32),
        "categorical": np.ones((1, 2), np.int32),
    }


def with_curves_of_bytes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Write every HardSwish of the image branch as x * Clip(x + 3, 0, 6)."""
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    for name, value in (("curve_3", 3), ("curve_0", 0), ("curve_6", 6)):
        made.graph.initializer.append(numpy_helper.from_array(np.float32(value), name))
    own = {node.output[0] for node in trunk_nodes(made)}
    nodes = list(made.graph.node)
    del made.graph.node[:]
    for node in nodes:
        if node.op_type != "HardSwish" or node.output[0] not in own:
            made.graph.node.append(node)
            continue
        x, out, name = node.input[0], node.output[0], node.name
        made.graph.node.extend(
            [
                helper.make_node("Add", [x, "curve_3"], [f"{out}_shifted"], name=f"{name}/shift"),
                helper.make_node(
                    "Clip", [f"{out}_shifted", "curve_0", "curve_6"], [f"{out}_gate"], name=f"{name}/gate"
                ),
                helper.make_node("Mul", [x, f"{out}_gate"], [out], name=f"{name}/product"),
            ]
        )
    return made


def int8_of(proto: onnx.ModelProto, size: int, more: Sequence[str] = ()) -> onnx.ModelProto:
    """Quantise as an export does, and further operators too."""
    operators = (*quantising._TRUNK_OPERATORS, *more)
    reader = _Pictures([feed_of(size, seed) for seed in range(_CALIBRATION)])
    with mock.patch.object(quantising, "_TRUNK_OPERATORS", operators):
        quantised = quantising.quantize(proto, reader, "cpu", RANGE_METHODS["min-max"])
    return quantising.packed(quantised, "cpu")


def session_of(proto: onnx.ModelProto, optimised: Path) -> onnxruntime.InferenceSession:
    """Open a graph on one thread, and keep what ONNX Runtime has made of it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.optimized_model_filepath = str(optimised)
    return onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


def multiply_accumulates(proto: onnx.ModelProto, feed: dict[str, np.ndarray]) -> dict[str, int]:
    """Multiply-accumulates of the convolutions, by the name of their first output, from one run of the FP32 graph."""
    traced = onnx.ModelProto()
    traced.CopyFrom(proto)
    convolutions = [node for node in trunk_nodes(traced) if node.op_type == "Conv"]
    names = [node.output[0] for node in convolutions]
    del traced.graph.output[:]
    traced.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(traced.SerializeToString(), providers=["CPUExecutionProvider"])
    known = {value.name for value in session.get_inputs()}
    values = session.run(names, {name: value for name, value in feed.items() if name in known})
    kernels = {tensor.name: tensor.dims for tensor in traced.graph.initializer}
    return {
        node.name: value.size * int(np.prod(kernels[node.input[1]][1:]))
        for node, value in zip(convolutions, values, strict=True)
    }


def described(proto: onnx.ModelProto, optimised: Path, work: dict[str, int]) -> dict[str, Any]:
    """Say how large a file is, what ONNX Runtime runs, and which share of the products is float32."""
    nodes = onnx.load(optimised).graph.node
    kinds = Counter(node.op_type for node in nodes)
    int8 = sum(kinds[kind] for kind in _INT8_PRODUCTS)
    dequantised = {node.output[0] for node in proto.graph.node if node.op_type == "DequantizeLinear"}
    products = [node for node in proto.graph.node if node.name in work]
    kept = [node for node in products if not dequantised.issuperset(node.input[:2])]
    return {
        "megabytes": round(len(proto.SerializeToString()) / 1e6, 2),
        "convolutions in INT8": int8,
        "convolutions in float32": sum(kinds[kind] for kind in _FLOAT_PRODUCTS),
        "share of the multiply-accumulates in float32": round(sum(work[n.name] for n in kept) / sum(work.values()), 4),
        "operators": dict(kinds.most_common()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-branch", default="mobilenet_v3_large")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    clinical = HAM10000.clinical("grouped")
    model = FusedClassifier("concat", clinical, len(CLASSES), image_branch=arguments.image_branch).eval()
    proto = to_onnx(model, clinical, arguments.size, explain=False)
    feed = feed_of(arguments.size, 100)
    graphs = {
        "FP32": proto,
        "INT8": int8_of(proto, arguments.size),
        "INT8, gates": int8_of(proto, arguments.size, ("Mul",)),
        "INT8, gates and HardSwish": int8_of(with_curves_of_bytes(proto), arguments.size, ("Mul",)),
    }
    work, found, actions = multiply_accumulates(proto, feed), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name, graph in graphs.items():
            optimised = Path(folder) / "optimised.onnx"
            session = session_of(graph, optimised)
            found[name] = described(graph, optimised, work)
            inputs = {value.name: feed[value.name] for value in session.get_inputs()}
            actions[name] = partial(session.run, ["probabilities"], inputs)
    cpu_ms = medians_ms(cpu_turns(actions, arguments.rounds).cpu)
    for name, milliseconds in cpu_ms.items():
        found[name] = {"cpu_ms": milliseconds, "ratio to FP32": round(milliseconds / cpu_ms["FP32"], 3)} | found[name]
    text = json.dumps({"image_branch": arguments.image_branch, "size": arguments.size, "graphs": found}, indent=2)
    print(text)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
