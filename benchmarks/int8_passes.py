"""What does each pass of the INT8 conversion bring? One pass after another on the same weights, in one run.

    python benchmarks/int8_passes.py --run runs/efficientnet_lite0-concat [--limit 1349] [--flavours cpu rtx]

Answers, on photographs of the validation split: balanced accuracy, melanoma recall, class agreement with FP32 and the
change of the probabilities, for plain calibration, then with equalised ranges, with corrected biases, with fitted
weights, and with other ranges of the activations. Training photographs calibrate. Prints a Markdown table.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from dermedge.data.samples import read_samples
from dermedge.progress import progress
from dermedge.statistics.metrics import balanced_accuracy
from dermedge.training.predictions import labels_of
from dermedge.training.run import Run
from dermedge_export.description import describe
from dermedge_export.int8.calibration import (
    CALIBRATION_IMAGES,
    DEFAULT_METHOD,
    RANGE_METHODS,
    CalibrationReader,
    choose,
    in_batches,
    model_inputs,
)
from dermedge_export.int8.corrected_biases import BIAS_IMAGES, correct_biases
from dermedge_export.int8.equalised_ranges import equalise
from dermedge_export.int8.fitted_weights import fit_weights
from dermedge_export.int8.quantize import FLAVOURS, packed, quantize
from dermedge_export.pipeline import build_graph

Batches = list[dict[str, Any]]


class Table:
    """Compare graphs with FP32, a row each."""

    def __init__(self, reference: np.ndarray, labels: np.ndarray, melanoma: int | None, batches: Batches) -> None:
        self._reference, self._labels, self._melanoma, self._batches = reference, labels, melanoma, batches
        print("| passes | balanced accuracy | accuracy | melanoma | class agreement | KL, nats | mean change | max |")
        print("|---|---|---|---|---|---|---|---|")
        self._row("FP32", reference)

    def add(self, name: str, graph: onnx.ModelProto, flavour: str) -> None:
        """Run a QDQ graph as it would be written, and print its row."""
        self._row(f"{flavour}: {name}", probabilities(packed(graph, flavour), self._batches))

    def _row(self, name: str, found: np.ndarray) -> None:
        labels, reference = self._labels, self._reference
        predicted = found.argmax(1)
        own = labels == self._melanoma
        recall = f"{np.mean(predicted[own] == self._melanoma):.4f}" if own.any() else "-"
        change = np.abs(found - reference)
        divergence = (reference * np.log(np.maximum(reference, 1e-9) / np.maximum(found, 1e-9))).sum(1).mean()
        print(
            f"| {name} | {balanced_accuracy(labels, predicted):.4f} | {np.mean(predicted == labels):.4f} | {recall}"
            f" | {np.mean(predicted == reference.argmax(1)):.2%} | {divergence:.5f}"
            f" | {change.mean():.5f} | {change.max():.3f} |",
            flush=True,
        )


def probabilities(graph: onnx.ModelProto, batches: Batches) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["probabilities"], batch)[0] for batch in progress(batches, "run")])


def copied(graph: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(graph)
    return copy


def measure(table: Table, graph: onnx.ModelProto, calibration: Sequence[Any], spec: Any, flavours: list[str]) -> None:
    """Print the rows of every pass."""
    every = [model_inputs(part, spec) for part in in_batches(calibration)]
    some = [model_inputs(part, spec) for part in in_batches(choose(calibration, BIAS_IMAGES, seed=0))]
    equalised = copied(graph)
    groups = equalise(equalised, every)
    for flavour in flavours:
        for name, original in (("", graph), (f"equalised ({groups} groups)", equalised)):
            plain = quantize(original, CalibrationReader(calibration, spec), flavour)
            table.add(name or "plain", plain, flavour)
            passes(table, name, plain, original, some, flavour)
        for method in RANGE_METHODS.values():
            if method is not DEFAULT_METHOD and method.name.startswith(("min-max", "percentile 99.999")):
                other = quantize(equalised, CalibrationReader(calibration, spec), flavour, method)
                fit_weights(other, equalised, some)
                correct_biases(other, equalised, some)
                table.add(f"all three, ranges by {method.name}", other, flavour)


def passes(
    table: Table, before: str, plain: onnx.ModelProto, original: onnx.ModelProto, some: Batches, flavour: str
) -> None:
    corrected = copied(plain)
    correct_biases(corrected, original, some)
    table.add(f"{before} + biases".removeprefix(" + "), corrected, flavour)
    fitted = copied(plain)
    fit_weights(fitted, original, some)
    correct_biases(fitted, original, some)
    table.add(f"{before} + fitted weights + biases".removeprefix(" + "), fitted, flavour)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="data folder; by default the run's own")
    parser.add_argument("--limit", type=int, default=100_000, help="validation photographs")
    parser.add_argument("--calibration", type=int, default=CALIBRATION_IMAGES, help="training photographs")
    parser.add_argument("--flavours", nargs="+", default=list(FLAVOURS), choices=FLAVOURS)
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    split, samples = run.split, read_samples(arguments.data or Path(run.config.data), run.schema)
    spec = describe(run, "fp32", explain=False)
    calibration = choose(split.select(samples, "train"), arguments.calibration, run.config.seed)
    validation = split.select(samples, "validation")
    validation = random.Random(0).sample(validation, min(arguments.limit, len(validation)))
    batches = [model_inputs(part, spec) for part in progress(in_batches(validation), "read photographs")]
    graph = build_graph(run, spec, [])
    print(f"{len(calibration)} calibration photographs, {len(validation)} of the validation split\n")
    melanoma = None if run.schema.melanoma is None else list(run.schema.classes).index(run.schema.melanoma)
    table = Table(probabilities(graph, batches), labels_of(validation), melanoma, batches)
    measure(table, graph, calibration, spec, arguments.flavours)


if __name__ == "__main__":
    main()
