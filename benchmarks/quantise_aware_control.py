"""What does the rounding of a quantisation-aware training bring, apart from the training itself?

    python benchmarks/quantise_aware_control.py --run runs/efficientnet_lite0-concat --out FOLDER \\
        [--epochs 1] [--per-class 150] [--learning-rate 0.0001] [--flavours cpu rtx] [--limit 1349]

Trains the run on twice: with INT8's rounding in its image branch, and, as a control, with the same draws, the same
learning rate and the same frozen batch normalisation, but the rounding switched off. Answers on photographs of the
validation split: figures of each in FP32 and in INT8, all layers quantised, the weights rounded to the nearest step
(as they were trained) and in balance (as an export does otherwise). Trainings that lie in FOLDER are not repeated.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from int8_table import Int8Table
from torch import nn

import dermedge
from dermedge.data.samples import Sample
from dermedge.models.classifier import FusedClassifier
from dermedge.models.fake_quantised import FakeQuantisedBranch
from dermedge.training.predictions import labels_of
from dermedge.training.quantise_aware import QuantiseAware
from dermedge.training.run import Run
from dermedge_export.description import describe
from dermedge_export.int8.calibration import CALIBRATION_IMAGES, CalibrationReader, choose, in_batches, model_inputs
from dermedge_export.int8.corrected_biases import BIAS_IMAGES, correct_biases, correct_logits
from dermedge_export.int8.quantize import FLAVOURS, packed, quantize
from dermedge_export.pipeline import build_graph


class Unrounded(QuantiseAware):
    """The control: a quantisation-aware training in all but its rounding."""

    def new_network(self) -> FusedClassifier:
        """See `QuantiseAware`."""
        network = super().new_network()
        trunk: Any = network.trunk
        assert isinstance(trunk, FakeQuantisedBranch)
        quantisers: Any = trunk.quantisers
        for name, _ in list(quantisers.named_children()):
            setattr(quantisers, name, nn.Identity())
        for module in trunk.modules():
            if isinstance(module, nn.Conv2d):
                module.__class__ = type(module).__mro__[2]  # behind the class that rounds
        return network


@dataclass(frozen=True, slots=True)
class Photographs:
    """Of the run's data set."""

    validation: list[Sample]
    training: list[Sample]


def trained(start: Path, folder: Path, settings: dict[str, Any], *, rounded: bool) -> Run:
    """Train a run on, or open what an earlier call has trained."""
    kind = QuantiseAware if rounded else Unrounded
    with mock.patch("dermedge.training.train.QuantiseAware", kind):
        if (folder / "config.json").is_file():
            return dermedge.resume(folder)
        return dermedge.train(start_from=start, run=folder, quantise_aware=True, **settings)


def measure(name: str, run: Run, photographs: Photographs, table: Int8Table, flavours: list[str]) -> None:
    """Print the rows of a run."""
    spec = describe(run, "fp32", explain=False)
    graph = build_graph(run, spec, [])
    reference = table.reference(f"{name}, FP32", graph)
    calibration = choose(photographs.training, CALIBRATION_IMAGES, run.config.seed)
    some = [model_inputs(part, spec) for part in in_batches(choose(calibration, BIAS_IMAGES, seed=0))]
    for flavour in flavours:
        for as_trained in (False, True):
            reader = CalibrationReader(calibration, spec)
            quantised = quantize(graph, reader, flavour, as_trained=as_trained)
            correct_biases(quantised, graph, some)
            correct_logits(quantised, graph, some)
            how = "nearest" if as_trained else "balanced"
            table.add(f"{name}, INT8 {flavour}, {how}", packed(quantised, flavour), reference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the two trainings")
    parser.add_argument("--data", type=Path, help="data folder; by default the run's own")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--per-class", type=int, default=150)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--limit", type=int, default=100_000, help="validation photographs")
    parser.add_argument("--flavours", nargs="+", default=list(FLAVOURS), choices=FLAVOURS)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    settings = {name: getattr(arguments, name) for name in ("epochs", "per_class", "learning_rate")}
    if arguments.data is not None:
        settings["data"] = arguments.data
    before = Run.open(arguments.run)
    if before.config.look_inside:  # which compares pictures with masks, and cannot with rounding in the network
        settings["look_inside"] = 0.0
    runs = {"before": before}
    for name, rounded in (("control", False), ("quantisation-aware", True)):
        runs[name] = trained(arguments.run, arguments.out / name, settings, rounded=rounded)
    samples = before.samples(arguments.data)
    validation = before.split.select(samples, "validation")[: arguments.limit]
    photographs = Photographs(validation, before.split.select(samples, "train"))
    spec = describe(before, "fp32", explain=False)
    batches = [model_inputs(part, spec) for part in in_batches(validation)]
    print(f"\n{len(validation)} pictures of the validation split; {settings}\n")
    table = Int8Table(labels_of(validation), before.schema, batches)
    for name, run in runs.items():
        measure(name, run, photographs, table, arguments.flavours)


if __name__ == "__main__":
    main()
