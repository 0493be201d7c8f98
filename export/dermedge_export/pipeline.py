"""Training run -> published model file: the order of the steps, and nothing else.

Export, convert, calibrate, describe, measure against the trained weights through the shipped runtime, and only then
appear under the final name. A file over its limits is never left behind.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import onnx

from dermedge.data.samples import Sample
from dermedge.data.splits import Split
from dermedge.models.fusion import ENSEMBLES
from dermedge.training.predictions import labels_of, runtime_probabilities, trained_networks
from dermedge.training.run import Run
from dermedge_runtime import Classifier
from dermedge_runtime.devices.cpu_instructions import int8_arithmetic
from dermedge_runtime.errors import UsageError
from dermedge_runtime.files import atomic_path
from dermedge_runtime.model.description import ModelSpec

from .check.heatmaps import runtime_heatmaps
from .check.own_resizing import compare_own_resizing
from .check.parity import DEFAULT_LIMITS, Limits, Parity, ParityError, median_correlation, parity_of
from .check.trained_answers import Reference
from .conversion import Conversion, conversions, needs_calibration
from .decision.asked import Asked
from .decision.calibrated import Calibrated, calibrated
from .decision.reached import reached
from .description import describe, write_described
from .engine.build import EngineReport
from .graph.any_size import described_as_any_size, taking_any_size
from .graph.ig_steps import DEFAULT_STEPS
from .graph.to_onnx import to_onnx
from .int8.calibration import CALIBRATION_IMAGES, check_calibration, choose
from .model_json import model_and_json

_log = logging.getLogger(__name__)
_STAND_INS = 1000
PRECISIONS = ("fp32", "fp16", "int8")
DEFAULT_ASKED = Asked()


@dataclass(frozen=True, slots=True)
class ExportedModel:
    """A model file that an export has written, and how it compares with the trained weights."""

    path: Path
    """Of the ONNX file, such as `Classifier` takes it."""
    precision: str
    bytes: int
    parity: Parity
    conversion: Mapping[str, Any] = field(default_factory=dict)
    """How the precision was made, as the file describes it."""
    engine: EngineReport | None = None
    """The TensorRT engine beside it, where one was asked for."""

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return {
            "path": str(self.path),
            "precision": self.precision,
            "bytes": self.bytes,
            "conversion": dict(self.conversion),
            "parity": self.parity.to_record(),
            **({} if self.engine is None else {"engine": self.engine.to_record()}),
        }


def export_model(
    run: Run,
    samples: Sequence[Sample],
    precision: str,
    target: Path,
    *,
    explain: bool = True,
    flavour: str = "cpu",
    limits: Limits | None = None,
    sensitivity: bool = False,
    any_size: bool = False,
    ig_steps: int | None = None,
    asked: Asked | None = DEFAULT_ASKED,
) -> ExportedModel:
    """Export a run's best weights, measure the file, and publish it with its JSON if it keeps within the limits.

    :param samples: the data set the run was trained on.
    :param precision: one of `PRECISIONS`.
    :param explain: with the explanation outputs.
    :param flavour: one of `quantize.FLAVOURS`; used for INT8 alone.
    :param limits: by default `DEFAULT_LIMITS` of the precision.
    :param sensitivity: measure what INT8 changes layer by layer, even where the file keeps within the limits.
    :param any_size: the graph takes pictures of any height and width and resizes them itself, as Pillow does.
    :param ig_steps: of the integrated gradients; by default `ig_steps.DEFAULT_STEPS`.
    :param asked: what the decision is to reach. A run that cannot be calibrated for it gives a file without
        calibration, and a line in the log that says why; None: the file is not calibrated.
    :raises UsageError: `any_size` for a run that reads no picture or resizes otherwise, or for TensorRT; `ig_steps`
        that make no sense, or for a file without integrated gradients.
    :raises ParityError: the file is over the limits; nothing is left at `target` that was not there before.
    :raises InputRejected: too few training photographs to calibrate with.
    :raises DermedgeError: no run, no weights, or the exporter fails.
    """
    limits = limits or DEFAULT_LIMITS[precision]
    spec = describe(run, precision, explain=explain, flavour=flavour, ig_steps=ig_steps)
    spec = described_as_any_size(spec) if any_size else spec
    calibration, held_back, part = _photographs(samples, run.split, precision, run.config.seed)
    reference, refused = Reference(run, held_back), ""
    with model_and_json(target) as temporary:
        for attempt in _attempts(run, spec, calibration, sensitivity=sensitivity):
            made = _calibrated(attempt.proto, replace(spec, conversion=attempt.record), run, samples, asked)
            reference.scaling, described = made.scaling, made.spec
            graph = taking_any_size(made.proto, spec) if any_size else made.proto
            write_described(graph, described, temporary)
            _log.info("compare with the trained weights on %d %s images", len(held_back), part)
            parity = measure_parity(run, temporary, held_back, part, reference)
            broken = parity.violations(limits)
            if not broken:
                break
            refused = f"{'; '.join(broken)} ({parity.images} {part} images)"
            _log.info("over the limits: %s", refused)
        else:
            raise ParityError(f"{target.name} was not written: {refused}. {_what_helps(run, spec)}")
        measured = {**parity.to_record(), "limits": asdict(limits)}
        described = replace(described, parity=measured)
        write_described(graph, with_reached(described, temporary, run, samples), temporary)
    return ExportedModel(target, precision, target.stat().st_size, parity, attempt.record)


def _calibrated(
    proto: onnx.ModelProto, spec: ModelSpec, run: Run, samples: Sequence[Sample], asked: Asked | None
) -> Calibrated:
    """Calibrate a graph, or give it as it is where that cannot be done, and say why."""
    if asked is None:
        return Calibrated(proto, spec, None)
    try:
        return calibrated(proto, spec, run, samples, asked)
    except UsageError as error:
        _log.info("not calibrated: %s", error)
        return Calibrated(proto, spec, None)


def with_reached(spec: ModelSpec, path: Path, run: Run, samples: Sequence[Sample]) -> ModelSpec:
    """Add to the description of a calibrated file what it reaches on the test split, which nothing was chosen on."""
    test = run.split.select(samples, "test")
    if spec.decision is None or not test:
        return spec
    _log.info("what it reaches on %d test images", len(test))
    return replace(spec, calibration={**spec.calibration, "reached": reached(Classifier(path, "cpu"), test, "test")})


def _what_helps(run: Run, spec: ModelSpec) -> str:
    allow = "allow more with --min-agreement, --max-drop or --min-heatmap"
    if spec.precision != "int8" or spec.image is None or run.config.quantise_aware:
        return f"Export in a higher precision, or {allow}."
    if run.config.fusion in ENSEMBLES:
        return f"Export in a higher precision, make the ensemble of runs trained with --quantise-aware, or {allow}."
    train = f"dermedge train --start-from {run.path} --quantise-aware --epochs 2"
    return f"Let the network learn to live with INT8 ({train}), export in a higher precision, or {allow}."


def _attempts(run: Run, spec: ModelSpec, calibration: Sequence[Sample], *, sensitivity: bool) -> Iterator[Conversion]:
    if needs_calibration(spec):
        check_calibration(calibration, run.split)
    config = run.config
    schema = run.schema.clinical(config.protocol, config.unknown)
    _log.info("trace the network")
    steps = spec.ig_steps or DEFAULT_STEPS
    proto = to_onnx(trained_networks(run), schema, config.image_size, explain=spec.explains, ig_steps=steps)
    aware = config.quantise_aware
    return conversions(proto, spec, calibration, sensitivity=sensitivity, quantise_aware=aware)


def build_graph(run: Run, spec: ModelSpec, calibration: Sequence[Sample]) -> onnx.ModelProto:
    """Make the preferred graph of one precision from a run's best weights, without description.

    :param calibration: photographs of the run's training split; FP32 needs none.
    :raises InputRejected: too few photographs, or one that is not of the training split.
    """
    return next(_attempts(run, spec, calibration, sensitivity=False)).proto


def write_unmeasured(run: Run, target: Path, *, explain: bool = True) -> None:
    """Write the FP32 file of a run without comparing it: for evaluation, which measures everything itself.

    :param explain: with the explanation outputs.
    """
    spec = describe(run, "fp32", explain=explain)
    proto = build_graph(run, spec, [])
    with atomic_path(target) as temporary:
        write_described(proto, spec, temporary)


def measure_parity(
    run: Run, path: Path, samples: Sequence[Sample], part: str, reference: Reference | None = None
) -> Parity:
    """Compare a model file on the CPU provider with the trained weights in torch.

    :param reference: of the same run and photographs, where it exists already.
    """
    reference = reference or Reference(run, samples)
    classifier = Classifier(path, device="cpu")
    parity = parity_of(
        reference.probabilities,
        runtime_probabilities(classifier, samples),
        labels_of(samples),
        run.schema.classes,
        melanoma=run.schema.melanoma,
        split=part,
        provider=classifier.provider,
        arithmetic=_arithmetic(classifier),
    )
    if classifier.spec.image is not None and classifier.spec.image.any_size:
        parity = replace(parity, own_resizing=compare_own_resizing(classifier, path, samples, run.config.seed))
    if "heatmap" not in classifier.spec.outputs:
        return parity
    correlation = median_correlation(
        reference.heatmaps(classifier.spec), runtime_heatmaps(classifier, reference.explained, reference.targets)
    )
    return replace(parity, heatmap_correlation=correlation)


def _arithmetic(classifier: Classifier) -> str:
    """Say what computed a comparison, and for INT8 whether other CPUs would give the same."""
    if classifier.spec.precision != "int8":
        return f"on {classifier.hardware}"
    elsewhere = "alike without VNNI: weights of 7 bits" if not classifier.spec.saturates else "other CPUs not compared"
    return f"on {classifier.hardware}, INT8 by {int8_arithmetic()}; {elsewhere}"


def _photographs(
    samples: Sequence[Sample], split: Split, precision: str, seed: int
) -> tuple[list[Sample], list[Sample], str]:
    """Choose calibration and comparison photographs; never from the test split."""
    training, validation = split.select(samples, "train"), split.select(samples, "validation")
    count = CALIBRATION_IMAGES if validation else min(CALIBRATION_IMAGES, len(training) // 2)
    calibration = [] if precision == "fp32" else choose(training, count, seed)
    if validation:
        return calibration, validation, "validation"
    # A protocol without a validation set: training photographs that calibrated nothing stand in.
    used = {sample.image_id for sample in calibration}
    rest = [sample for sample in training if sample.image_id not in used]
    return calibration, choose(rest, _STAND_INS, seed), "training"
