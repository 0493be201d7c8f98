"""What a calibrated file reaches on photographs that it was not calibrated on: measured in the runtime, learned from by
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dermedge.data.samples import Sample
from dermedge.statistics.calibration import (
    brier_score,
    classwise_calibration_error,
    expected_calibration_error,
    simulated_calibration_error,
)
from dermedge.statistics.decisions import decision_figures, set_figures
from dermedge.training.decided import decided, runtime_predictions
from dermedge.training.predictions import labels_of
from dermedge_runtime import Classifier, Prediction


def reached(
    classifier: Classifier, samples: Sequence[Sample], part: str, predictions: Sequence[Prediction] | None = None
) -> dict[str, Any]:
    """Measure calibration, sets and decisions.

    :param classifier: of a calibrated file.
    :param samples: with the file's classes as labels, at least one.
    :param part: what they are, such as test.
    :param predictions: the file's answers to them, where they exist already.
    :return: JSON-ready: `split`, `images`, `lesions`, `calibration`, `sets`, `decision` (None for a file without
        urgent classes), and `unfamiliar`, the share with an `ood_score` above 1 (None for a file without it).
    """
    spec = classifier.spec
    predictions = predictions or runtime_predictions(classifier, samples)
    probabilities = np.array([list(each.probabilities.values()) for each in predictions])
    labels = labels_of(samples)
    found = decided(predictions, samples, spec.classes)
    assert found is not None and spec.decision is not None
    scores = [each.ood_score for each in predictions if each.ood_score is not None]
    return {
        "split": part,
        "images": len(samples),
        "lesions": len({sample.lesion_id for sample in samples}),
        "calibration": {
            "expected_calibration_error": expected_calibration_error(labels, probabilities),
            "of_a_perfect_model": simulated_calibration_error(probabilities, seed=0),
            "classwise_calibration_error": classwise_calibration_error(labels, probabilities),
            "brier_score": brier_score(labels, probabilities),
        },
        "sets": set_figures(found),
        "decision": decision_figures(found, spec.decision.urgent, spec.decision.melanoma),
        "unfamiliar": float(np.mean(np.array(scores) > 1)) if scores else None,
    }
