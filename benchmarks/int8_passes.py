"""What does each pass of the INT8 conversion bring? One pass after another on the same weights, in one run.

    python benchmarks/int8_passes.py --run runs/efficientnet_lite0-concat [--limit 1349] [--flavours cpu rtx]

Answers, on photographs of the validation split: balanced accuracy, melanoma recall, class agreement with FP32 and the
change of the probabilities, for plain calibration, with corrected biases, with either half alone (activations; weights,
their biases not corrected), with other ranges of the activations and with more calibration photographs. Training
photographs calibrate. Prints a Markdown table.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from int8_halves import with_float_weights, with_rounded_weights
from int8_table import Int8Table

from dermedge.data.samples import Sample
from dermedge.progress import progress
from dermedge.training.predictions import labels_of
from dermedge.training.run import Run
from dermedge_export.description import describe
from dermedge_export.int8.calibration import (
    CALIBRATION_IMAGES,
    DEFAULT_METHOD,
    RANGE_METHODS,
    CalibrationReader,
    RangeMethod,
    choose,
    in_batches,
    model_inputs,
)
from dermedge_export.int8.corrected_biases import BIAS_IMAGES, correct_biases, correct_logits
from dermedge_export.int8.quantize import FLAVOURS, packed, quantize
from dermedge_export.pipeline import build_graph
from dermedge_runtime.model.description import ModelSpec


@dataclass(frozen=True, slots=True)
class Passes:
    """A graph and the training photographs that may calibrate it."""

    graph: onnx.ModelProto
    spec: ModelSpec
    training: Sequence[Sample]
    seed: int

    def quantised(
        self, flavour: str, images: int = CALIBRATION_IMAGES, method: RangeMethod = DEFAULT_METHOD
    ) -> onnx.ModelProto:
        """Give the plain QDQ graph."""
        calibration = choose(self.training, images, self.seed)
        return quantize(self.graph, CalibrationReader(calibration, self.spec), flavour, method)

    def corrected(self, plain: onnx.ModelProto, images: int = BIAS_IMAGES) -> onnx.ModelProto:
        """Give a copy with corrected biases."""
        made = onnx.ModelProto()
        made.CopyFrom(plain)
        some = choose(choose(self.training, max(images, CALIBRATION_IMAGES), self.seed), images, seed=0)
        batches = [model_inputs(part, self.spec) for part in in_batches(some)]
        correct_biases(made, self.graph, batches)
        correct_logits(made, self.graph, batches)
        return made


def measure(passes: Passes, table: Int8Table, flavours: Sequence[str]) -> None:
    """Print the rows of every pass."""
    reference = table.reference("FP32", passes.graph)
    for flavour in flavours:
        plain = passes.quantised(flavour)
        table.add(f"{flavour}: plain", packed(plain, flavour), reference)
        corrected = passes.corrected(plain)
        table.add(f"{flavour}: biases corrected (an export)", packed(corrected, flavour), reference)
        halves = {
            "activations alone": with_float_weights(corrected, passes.graph),
            "weights alone": with_rounded_weights(plain, passes.graph),
        }
        for name, half in halves.items():
            table.add(f"{flavour}: {name}", half, reference, as_written=False)
        more = passes.corrected(plain, 4 * BIAS_IMAGES)
        table.add(f"{flavour}: biases on {4 * BIAS_IMAGES} pictures", packed(more, flavour), reference)
        wider = passes.corrected(passes.quantised(flavour, 4 * CALIBRATION_IMAGES))
        table.add(f"{flavour}: ranges of {4 * CALIBRATION_IMAGES} pictures", packed(wider, flavour), reference)
        for method in RANGE_METHODS.values():
            if method is not DEFAULT_METHOD:
                other = passes.corrected(passes.quantised(flavour, method=method))
                table.add(f"{flavour}: ranges by {method.name}", packed(other, flavour), reference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="data folder; by default the run's own")
    parser.add_argument("--limit", type=int, default=100_000, help="validation photographs")
    parser.add_argument("--flavours", nargs="+", default=list(FLAVOURS), choices=FLAVOURS)
    arguments = parser.parse_args()
    run = Run.open(arguments.run)
    samples, spec = run.samples(arguments.data), describe(run, "fp32", explain=False)
    validation = run.split.select(samples, "validation")
    validation = random.Random(0).sample(validation, min(arguments.limit, len(validation)))
    batches = [model_inputs(part, spec) for part in progress(in_batches(validation), "read photographs")]
    passes = Passes(build_graph(run, spec, []), spec, run.split.select(samples, "train"), run.config.seed)
    print(f"{CALIBRATION_IMAGES} calibration photographs, {len(validation)} of the validation split\n")
    measure(passes, Int8Table(labels_of(validation), run.schema, batches), arguments.flavours)


if __name__ == "__main__":
    main()
