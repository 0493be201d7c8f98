"""What a model file answers about photographs: everything of it that is scored, through the shipped runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dermedge.data.samples import Sample
from dermedge.progress import progress
from dermedge_runtime import Classifier, Prediction, Rejection
from dermedge_runtime.decision import DecisionRule
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.image import ImageSource, load_image
from dermedge_runtime.model.description import ModelSpec

FLIPS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
"""The picture, its mirror images and its half turn, as steps over rows and columns."""
_BATCH = 16
_Acted: TypeAlias = tuple[tuple[str, ...] | None, str | None, float | None]
"""Prediction set, decision and `ood_score` of one answer."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers about N photographs, in their order."""

    probabilities: NDArray[np.float32]
    """float32 [N, classes]."""
    sets: NDArray[np.bool_] | None = None
    """bool [N, classes], the diagnoses that cannot be ruled out; None: the contender makes no sets, nor decisions."""
    rule: DecisionRule | None = None
    """What makes the sets and decisions; None where there are no sets."""
    decisions: NDArray[np.str_] | None = None
    """One of `VERDICTS` each, [N]; None: the contender names no urgent classes."""
    ood: NDArray[np.float64] | None = None
    """How unlike the pictures of the training each is, above 1 unfamiliar, [N]; None: there is no such score."""


def labels_of(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Class indices, int64 [N]."""
    return np.array([sample.label for sample in samples], dtype=np.int64)


def runtime_answers(classifier: Classifier, samples: Sequence[Sample], *, flips: bool = False) -> Answers:
    """Run a model file through the shipped runtime, from the pictures' files on.

    :param flips: probabilities are the mean over `FLIPS`, for a model that reads pictures; such a mean has nothing but
        probabilities.
    :raises InputRejected: a picture that cannot be read.
    """
    names = classifier.spec.clinical.names
    means: list[list[float]] = []
    acted: list[_Acted] = []
    starts = range(0, len(samples), _BATCH)
    for start in progress(starts, f"run {classifier.name}", total=len(starts)):
        part = samples[start : start + _BATCH]
        clinical: list[dict[str, Any]] = [{n: s.clinical[n] for n in names if n in s.clinical} for s in part]
        views = [_predicted(classifier, images, clinical) for images in _views(classifier, part, flips=flips)]
        means += np.mean([[list(each.probabilities.values()) for each in view] for view in views], axis=0).tolist()
        # Not the whole predictions: their pictures and heat maps would stay in memory.
        acted += [(each.prediction_set, each.decision, each.ood_score) for each in views[0]]
    probabilities = np.array(means, dtype=np.float32)
    return Answers(probabilities) if flips else _with_decisions(probabilities, acted, classifier.spec)


def _with_decisions(probabilities: NDArray[np.float32], acted: Sequence[_Acted], spec: ModelSpec) -> Answers:
    """Add what else the answers of a file have; all of them have it, or none."""
    sets = [own for own, _, _ in acted if own is not None]
    decisions = [verdict for _, verdict, _ in acted if verdict is not None]
    scores = [score for _, _, score in acted if score is not None]
    return Answers(
        probabilities,
        sets=np.array([[code in own for code in spec.classes] for own in sets]) if sets else None,
        rule=spec.decision if sets else None,
        decisions=np.array(decisions) if decisions else None,
        ood=np.array(scores) if scores else None,
    )


def _views(classifier: Classifier, samples: Sequence[Sample], *, flips: bool) -> list[list[ImageSource | None]]:
    image = classifier.spec.image
    if not flips:
        return [[sample.path if image is not None else None for sample in samples]]
    assert image is not None
    pictures = [load_image(sample.path, image.size, image.resample, image.detail) for sample in samples]
    return [[np.ascontiguousarray(pixels[::down, ::right]) for pixels in pictures] for down, right in FLIPS]


def _predicted(
    classifier: Classifier, images: list[ImageSource | None], clinical: list[dict[str, Any]]
) -> list[Prediction]:
    found = []
    for result in classifier.predict_many(images, clinical, batch_size=_BATCH):
        if isinstance(result, Rejection):
            raise InputRejected(result.reason)
        found.append(result)
    return found
