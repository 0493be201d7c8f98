"""What a calibrated file reaches on photographs that it was not calibrated on: measured in the runtime, learned from by
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dermedge.data.samples import Sample
from dermedge.statistics.calibration import calibration_errors, simulated_calibration_error
from dermedge.statistics.decisions import Decided, decision_figures, set_figures
from dermedge.training.answers import Answers, labels_of, runtime_answers
from dermedge_runtime import Classifier
from dermedge_runtime.decision import FAMILIAR


def reached(
    classifier: Classifier, samples: Sequence[Sample], part: str, answers: Answers | None = None
) -> dict[str, Any]:
    """Measure calibration, sets and decisions.

    :param classifier: of a calibrated file.
    :param samples: with the file's classes as labels, at least one.
    :param part: what they are, such as test.
    :param answers: the file's answers to them, where they exist already.
    :return: JSON-ready: `split`, `images`, `lesions`, `calibration`, `sets`, `decision` (None for a file without
        urgent classes), and `unfamiliar`, the share with an `ood_score` above 1 (None for a file without it).
    """
    answers = answers or runtime_answers(classifier, samples)
    labels, probabilities = labels_of(samples), answers.probabilities
    lesions = np.array([sample.lesion_id for sample in samples], dtype=np.str_)
    assert answers.sets is not None and answers.rule is not None
    found = Decided(labels, lesions, answers.sets, answers.decisions, classifier.spec.classes)
    return {
        "split": part,
        "images": len(samples),
        "lesions": len(set(lesions)),
        "calibration": {
            **calibration_errors(labels, probabilities),
            "of_a_perfect_model": simulated_calibration_error(probabilities, seed=0),
        },
        "sets": set_figures(found),
        "decision": decision_figures(found, answers.rule.urgent, answers.rule.melanoma),
        "unfamiliar": None if answers.ood is None else float(np.mean(answers.ood > FAMILIAR)),
    }
