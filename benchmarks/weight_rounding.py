"""Which INT8 weights are safe on CPUs without VNNI, and what do they cost? Every rule on the same weights, in one run.

    python benchmarks/weight_rounding.py --run runs/cross_attention [--limit 1000]

A sum of two products uint8 x int8 must stay below 2^15, or an x86 CPU without VNNI cuts it off. Rules: eight bits (not
safe), seven bits, a step per channel so large that no two neighbours, in either order a kernel pairs them, or no two
weights at all leave the sum; each rounded to the nearest and, for seven bits, in balance (`safe_weights`). Prints class
agreement with FP32 and changes of probabilities on validation photographs as a Markdown table. The rounded weights are
put into the quantised graph as floats: the arithmetic is then exact, and only the rules differ.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

from dermedge.progress import progress
from dermedge.statistics.metrics import balanced_accuracy
from dermedge.training.predictions import labels_of
from dermedge.training.run import Run
from dermedge_export.description import describe
from dermedge_export.int8.calibration import CALIBRATION_IMAGES, CalibrationReader, choose, in_batches, model_inputs
from dermedge_export.int8.quantize import quantize
from dermedge_export.int8.safe_weights import LARGEST_WEIGHT, balanced_rounding
from dermedge_export.pipeline import build_graph

_PAIR = 128
"""Two weights whose sum is at most this, times 255, stay below 2^15."""
Rule = Callable[[np.ndarray], np.ndarray]


def _step(weights: np.ndarray, largest: int) -> np.ndarray:
    return np.abs(weights).reshape(len(weights), -1).max(axis=1).reshape(-1, 1, 1, 1) / largest


def _bits(largest: int, rounding: Rule = np.rint) -> Rule:
    return lambda weights: rounding(weights / _step(weights, largest)) * _step(weights, largest)


def _neighbours(steps: np.ndarray) -> np.ndarray:
    found = np.zeros(len(steps))
    for order in ((0, 2, 3, 1), (0, 1, 2, 3)):
        row = steps.transpose(order).reshape(len(steps), -1)
        row = np.pad(row, ((0, 0), (0, row.shape[1] % 2)))
        found = np.maximum(found, np.abs(row.reshape(len(row), -1, 2).sum(axis=2)).max(axis=1))
    return found


def _any_two(steps: np.ndarray) -> np.ndarray:
    row = np.sort(steps.reshape(len(steps), -1), axis=1)
    return np.maximum(row[:, -1] + np.maximum(row[:, -2], 0), -(row[:, 0] + np.minimum(row[:, 1], 0)))


def _limited(largest_sum: Callable[[np.ndarray], np.ndarray]) -> Rule:
    def rule(weights: np.ndarray) -> np.ndarray:
        step = _step(weights, 127)
        while (over := largest_sum(np.rint(weights / step)) > _PAIR).any():
            step = np.where(over.reshape(-1, 1, 1, 1), step * 1.003, step)
        return np.rint(weights / step) * step

    return rule


RULES: dict[str, Rule] = {
    "eight bits (not safe)": _bits(127),
    "seven bits, nearest": _bits(LARGEST_WEIGHT),
    "no two neighbours, nearest": _limited(_neighbours),
    "no two weights, nearest": _limited(_any_two),
    "**seven bits, balanced**": _bits(LARGEST_WEIGHT, balanced_rounding),
}


def _with_weights(quantised: onnx.ModelProto, original: onnx.ModelProto, rule: Rule) -> onnx.ModelProto:
    floats = {tensor.name: tensor for tensor in original.graph.initializer}
    proto = onnx.ModelProto()
    proto.CopyFrom(quantised)
    source = {n.output[0]: n.input[0].removesuffix("_quantized") for n in proto.graph.node if n.op_type[0] == "D"}
    for node in proto.graph.node:
        if node.op_type == "Conv" and source.get(node.input[1]) in floats:
            values = numpy_helper.to_array(floats[source[node.input[1]]]).astype(np.float64)
            node.input[1] += "_exact"
            proto.graph.initializer.append(numpy_helper.from_array(rule(values).astype(np.float32), node.input[1]))
    return proto


def _probabilities(graph: onnx.ModelProto, batches: list[dict]) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["probabilities"], batch)[0] for batch in progress(batches, "run")])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="data folder; by default the run's own")
    parser.add_argument("--limit", type=int, default=1000, help="validation photographs")
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    split, samples = run.split, run.samples(arguments.data)
    spec = describe(run, "int8", explain=False)
    calibration = choose(split.select(samples, "train"), CALIBRATION_IMAGES, run.config.seed)
    validation = split.select(samples, "validation")
    validation = random.Random(0).sample(validation, min(arguments.limit, len(validation)))
    batches = [model_inputs(part, spec) for part in progress(in_batches(validation), "read photographs")]
    labels = labels_of(validation)
    graph = build_graph(run, describe(run, "fp32", explain=False), [])
    reference = _probabilities(graph, batches)
    quantised = quantize(graph, CalibrationReader(calibration, spec))
    print(f"{len(validation)} validation photographs; FP32: {balanced_accuracy(labels, reference.argmax(1)):.4f}\n")
    print("| weights | class agreement | balanced accuracy | largest probability change | mean |")
    print("|---|---|---|---|---|")
    for name, rule in RULES.items():
        found = _probabilities(_with_weights(quantised, graph, rule), batches)
        change, agreement = np.abs(found - reference), np.mean(found.argmax(1) == reference.argmax(1))
        accuracy = balanced_accuracy(labels, found.argmax(1))
        print(f"| {name} | {agreement:.2%} | {accuracy:.4f} | {change.max():.3f} | {change.mean():.5f} |", flush=True)


if __name__ == "__main__":
    main()
