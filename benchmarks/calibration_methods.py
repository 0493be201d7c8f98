"""How should the INT8 ranges follow from the calibration photographs? Every method on the same weights, in one run.

    python benchmarks/calibration_methods.py --run runs/cross_attention [--limit 700]

Answers: the class agreement with FP32 and the largest change of a probability, on validation photographs drawn at
random, when the same training photographs calibrate by min-max, entropy or a percentile. Prints a Markdown table.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import random
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from dermedge.data.ham10000 import read_samples
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
from dermedge_export.int8.quantize import packed, quantize
from dermedge_export.pipeline import build_graph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="data folder; by default the run's own")
    parser.add_argument("--limit", type=int, default=700, help="validation photographs")
    parser.add_argument("--calibration", type=int, default=CALIBRATION_IMAGES, help="training photographs")
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    split, samples = run.split, read_samples(arguments.data or Path(run.config.data))
    spec = describe(run, "fp32", explain=False)
    calibration = choose(split.select(samples, "train"), arguments.calibration, run.config.seed)
    validation = split.select(samples, "validation")
    validation = random.Random(0).sample(validation, min(arguments.limit, len(validation)))
    batches = [model_inputs(part, spec) for part in progress(in_batches(validation), "read photographs")]
    graph = build_graph(run, spec, [])
    reference = _probabilities(graph, batches)
    labels = labels_of(validation)
    print(f"{len(calibration)} calibration photographs, {len(validation)} of the validation split")
    print(f"balanced accuracy of FP32: {balanced_accuracy(labels, reference.argmax(1)):.4f}\n")
    print("| method | class agreement | balanced accuracy | largest probability change | mean |")
    print("|---|---|---|---|---|")
    for method in RANGE_METHODS.values():
        quantised = packed(quantize(graph, CalibrationReader(calibration, spec), "cpu", method), "cpu")
        found = _probabilities(quantised, batches)
        change = np.abs(found - reference)
        agreement = np.mean(found.argmax(1) == reference.argmax(1))
        name = f"**{method.name}**" if method is DEFAULT_METHOD else method.name
        accuracy = balanced_accuracy(labels, found.argmax(1))
        print(f"| {name} | {agreement:.2%} | {accuracy:.4f} | {change.max():.3f} | {change.mean():.5f} |", flush=True)


def _probabilities(graph: onnx.ModelProto, batches: list[dict]) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["probabilities"], batch)[0] for batch in progress(batches, "run")])


if __name__ == "__main__":
    main()
