"""A finished graph and the data of its run -> the same graph, calibrated, with its score for unfamiliar pictures and
the thresholds of its decision: the order of the steps.

Everything is found with the graph itself, on the arithmetic that it will answer with, so an INT8 file is calibrated as
INT8. Features are learned from the training split, every threshold is from the validation split, and what is tried is
compared on drawn outliers; the test split is not looked at.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

from dermedge.data.samples import Sample
from dermedge.data.splits import Split
from dermedge.data.urgent import urgent_classes
from dermedge.progress import progress
from dermedge.statistics.calibration import calibration_errors
from dermedge.statistics.temperature import SMALLEST_VALIDATION
from dermedge.training.predictions import labels_of
from dermedge.training.run import Run
from dermedge_export.graph.graph_parts import run_all
from dermedge_export.graph.layers import drop_unused
from dermedge_export.int8.calibration import choose, in_batches, model_inputs
from dermedge_runtime.errors import UsageError
from dermedge_runtime.inputs.image import load_image, upright_rgb
from dermedge_runtime.model.description import ImageSpec, ModelSpec

from .asked import Asked
from .early_stages import Stage, add_statistics, early_stages, last_features
from .last_layer import rescale, scores_of
from .other_cameras import by_another_camera
from .outliers import outliers
from .scaling import FittedScaling, Scaling, fit_scaling
from .thresholds import Answers, FittedRule, check_enough, fit_rule
from .unfamiliar import Tried, add_score, try_all

_log = logging.getLogger(__name__)
SCORES = ("ood_score", "lesion_ood_score")
"""Outputs that tell an unfamiliar picture, from an early stage, and an odd lesion, from the last one."""
_TRAINING_IMAGES, _OUTLIERS_EACH, _BATCH = 800, 60, 8
_DETAIL = 4
"""Longer side of a photograph that is varied, in sides of the model's pictures: more is reduced, it shows nothing."""
_Rows = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A calibrated graph, and its description."""

    proto: onnx.ModelProto
    spec: ModelSpec
    scaling: Scaling | None
    """What was made of the scores that the trained weights give; None: nothing, the graph is as it was."""


def check_can_calibrate(split: Split, samples: Sequence[Sample]) -> None:
    """Refuse a run that has nothing to calibrate on.

    :raises UsageError: no validation split, or too small a one.
    """
    held_back = split.select(samples, "validation")
    if not held_back:
        raise UsageError(
            f"The protocol {split.protocol} has no validation split to calibrate on, and training photographs would"
            " make every answer look surer than it is. Train with --protocol grouped."
        )
    lesions = len({sample.lesion_id for sample in held_back})
    if lesions < SMALLEST_VALIDATION:
        raise UsageError(
            f"A calibration takes {SMALLEST_VALIDATION} validation lesions or more, there are {lesions}: more data, or"
            " a file without calibration (dermedge export --no-calibration)."
        )


def calibrated(
    proto: onnx.ModelProto,
    spec: ModelSpec,
    run: Run,
    samples: Sequence[Sample],
    asked: Asked,
) -> Calibrated:
    """Calibrate a finished graph of any precision, which stays as it is.

    :param proto: it takes pictures of its own size, calibrated before or not.
    :param samples: the whole data set of the run.
    :raises UsageError: see `check_can_calibrate` and `fit_rule`.
    """
    split, melanoma = run.split, run.schema.melanoma
    check_can_calibrate(split, samples)
    training, validation = split.select(samples, "train"), split.select(samples, "validation")
    labels, lesions = labels_of(validation), np.array([sample.lesion_id for sample in validation], dtype=np.str_)
    urgent = urgent_classes(run.schema)
    check_enough(labels, lesions, spec.classes, urgent, asked)
    own = onnx.ModelProto()
    own.CopyFrom(proto)
    earlier = Scaling.from_record(spec.calibration.get("scaling", {}), len(spec.classes))
    spec = _without_scores(own, spec)
    scores = scores_of(own)
    record: dict[str, Any] = {"images": len(validation), "lesions": len(set(lesions)), "split": "validation"}
    if spec.image is None:
        rows = _rows(own, [scores], _of_samples(validation, spec, "calibrate"))
    else:
        rows, record["unfamiliar"] = _add_scores(own, spec, spec.image, training, validation, run.config.seed)
        spec = replace(spec, outputs=(*spec.outputs, *SCORES))
    column = None if melanoma is None else spec.classes.index(melanoma)
    trained = earlier.of_trained(rows[scores])
    fitted = fit_scaling(trained, labels, lesions, column)
    change = fitted.scaling.after(earlier)
    rescale(own, change.scale, change.offset)
    probabilities = fitted.scaling.probabilities(trained)
    found = fit_rule(Answers(probabilities, labels, lesions), spec.classes, urgent, melanoma, asked)
    record |= _of_scaling(fitted, trained, labels) | _of_rule(found)
    return Calibrated(own, replace(spec, calibration=record, decision=found.rule), fitted.scaling)


def _without_scores(proto: onnx.ModelProto, spec: ModelSpec) -> ModelSpec:
    """Take out, in place, what an earlier calibration has added to a graph; the last layer stays scaled."""
    kept = [value for value in proto.graph.output if value.name not in SCORES]
    del proto.graph.output[:]
    proto.graph.output.extend(kept)
    drop_unused(proto, [value.name for value in kept])
    return replace(spec, outputs=tuple(name for name in spec.outputs if name not in SCORES))


def _add_scores(
    proto: onnx.ModelProto,
    spec: ModelSpec,
    image: ImageSpec,
    training: Sequence[Sample],
    validation: Sequence[Sample],
    seed: int,
) -> tuple[_Rows, dict[str, Any]]:
    """Add both scores for unfamiliar pictures, in place.

    :return: the values of the tensors that were looked at on validation, the class scores among them, and a record.
    """
    stages = early_stages(proto, model_inputs(validation[:1], spec))
    looked = onnx.ModelProto()
    looked.CopyFrom(proto)
    for stage in stages:
        add_statistics(looked, stage)
    tensors = {stage.statistics: stage for stage in stages}
    pooled = last_features(proto)
    names = [*tensors, *pooled]
    rng = np.random.default_rng(seed)
    drawn = [training[index] for index in rng.permutation(len(training))[:_TRAINING_IMAGES]]
    plain = _rows(looked, names, _of_samples(drawn, spec, "training features"))
    largest = _DETAIL * image.size
    finer = (by_another_camera(upright_rgb(sample.path, largest), rng) for sample in drawn)
    varied = _rows(looked, names, _of_pictures(finer, spec, image))
    learned = {name: np.concatenate([plain[name], varied[name]]) for name in names}
    held = _rows(looked, [*names, scores_of(proto)], _of_samples(validation, spec, "validation features"))
    photographs = [upright_rgb(sample.path, largest) for sample in choose(training, _OUTLIERS_EACH, seed)]
    far = {
        kind: _rows(looked, names, _of_pictures(pictures, spec, image))
        for kind, pictures in outliers(photographs, _OUTLIERS_EACH, seed).items()
    }
    record: dict[str, Any] = {"training_images": len(drawn), "outliers_of_each_kind": _OUTLIERS_EACH}
    early, late = _early_and_late(list(tensors), pooled)
    for output, looked_at in zip(SCORES, (early, late), strict=True):
        tried = try_all(looked_at, learned, held, far)
        best = tried[0].score
        if best.tensor in tensors:
            add_statistics(proto, tensors[best.tensor])
        add_score(proto, best, output, in_bytes=spec.precision == "int8" and spec.flavour == "cpu")
        _log.info("%s: %s", output, _told(tried[0], tensors.get(best.tensor)))
        record[output] = _chosen(tried, tensors)
    return held, record


def _early_and_late(stages: Sequence[str], pooled: Sequence[str]) -> tuple[list[str], list[str]]:
    """Give the tensors that each of the two scores may be of; none but a pooled one is in both.

    :param stages: the earliest first; a network of one size has a single one, or none.
    :param pooled: of every image branch.
    """
    early = list(stages[: max(1, len(stages) - 1)]) or list(pooled)
    return early, [*(name for name in stages[-1:] if name not in early), *pooled]


def _told(tried: Tried, stage: Stage | None) -> str:
    where = "the last features" if stage is None else f"{stage.channels} channels at {stage.side} x {stage.side}"
    kind, worst = min(tried.auroc.items(), key=lambda item: item[1])
    return (
        f"{tried.score.method} with {tried.score.components} components of {where}; drawn outliers are told from"
        f" validation with an AUROC of {worst:.3f} ({kind}) and more"
    )


def _chosen(tried: Sequence[Tried], tensors: Mapping[str, Stage]) -> dict[str, Any]:
    """Record what was chosen, and the best of every tensor that was tried."""
    best: dict[str, Tried] = {}
    for each in tried:
        best.setdefault(each.score.tensor, each)
    rows = [_place(tensors.get(name)) | each.to_record() for name, each in best.items()]
    return rows[0] | {"others": rows[1:]}


def _place(stage: Stage | None) -> dict[str, Any]:
    return {"features": "last"} if stage is None else {"channels": stage.channels, "side": stage.side}


def _of_scaling(fitted: FittedScaling, scores: NDArray[Any], labels: NDArray[np.int64]) -> dict[str, Any]:
    figures = {}
    for name, scaling in (("before", Scaling.none(scores.shape[1])), ("after", fitted.scaling)):
        figures[name] = calibration_errors(labels, scaling.probabilities(scores))
    held_out = {"held_out_cross_entropy": fitted.held_out}
    refused = {"refused": fitted.refused} if fitted.refused else {}
    return {"scaling": fitted.scaling.to_record() | held_out | refused, "validation": figures}


def _of_rule(found: FittedRule) -> dict[str, Any]:
    for note in found.notes:
        _log.info("%s", note)
    return {"notes": list(found.notes)} if found.notes else {}


def _rows(proto: onnx.ModelProto, names: Sequence[str], batches: Iterator[Mapping[str, Any]]) -> _Rows:
    parts = list(run_all(proto, names, batches))
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _of_samples(samples: Sequence[Sample], spec: ModelSpec, what: str) -> Iterator[Mapping[str, Any]]:
    for batch in progress(in_batches(samples), what):
        yield model_inputs(batch, spec)


def _of_pictures(pictures: Iterable[Image.Image], spec: ModelSpec, image: ImageSpec) -> Iterator[Mapping[str, Any]]:
    """Give the inputs of pictures without a patient; of an iterator no more than a batch is in memory."""
    waiting = iter(pictures)
    while part := list(itertools.islice(waiting, _BATCH)):
        numeric, categorical = spec.clinical.encode([{} for _ in part])
        read = np.stack([load_image(picture, image.size, image.resample, image.detail) for picture in part])
        target = np.full(len(part), -1, dtype=np.int32)
        yield {"image": read, "numeric": numeric, "categorical": categorical, "target": target}
