"""Decisions and prediction sets of a run's photographs, from a calibrated model file in the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dermedge.data.samples import Sample
from dermedge.progress import progress
from dermedge.statistics.decisions import Decided
from dermedge_runtime import Classifier, Prediction, Rejection
from dermedge_runtime.errors import InputRejected

from .predictions import labels_of

_BATCH = 16


def runtime_predictions(classifier: Classifier, samples: Sequence[Sample]) -> list[Prediction]:
    """Run a model file through the shipped runtime, from the pictures' files on, with all that is known of each.

    :raises InputRejected: a picture that cannot be read.
    """
    names, reads = classifier.spec.clinical.names, classifier.spec.image is not None
    images = [sample.path if reads else None for sample in samples]
    clinical: list[dict[str, Any]] = [{n: s.clinical[n] for n in names if n in s.clinical} for s in samples]
    found = []
    answers = classifier.predict_each(images, clinical, batch_size=_BATCH)
    for answer in progress(answers, f"run {classifier.name}", total=len(samples)):
        if isinstance(answer, Rejection):
            raise InputRejected(answer.reason)
        found.append(answer)
    return found


def decided(predictions: Sequence[Prediction], samples: Sequence[Sample], classes: Sequence[str]) -> Decided | None:
    """Give what `statistics.decisions` measures, of a file's answers; None where the file was not calibrated.

    :param predictions: of these samples, at least one.
    """
    sets = [each.prediction_set for each in predictions]
    verdicts = [each.decision for each in predictions if each.decision is not None]
    if any(own is None for own in sets):
        return None
    return Decided(
        labels=labels_of(samples),
        lesions=np.array([sample.lesion_id for sample in samples], dtype=np.str_),
        sets=np.array([[code in (own or ()) for code in classes] for own in sets], dtype=np.bool_),
        decisions=np.array(verdicts, dtype=np.str_) if len(verdicts) == len(predictions) else None,
        classes=classes,
    )
