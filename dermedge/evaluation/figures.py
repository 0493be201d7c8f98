"""All figures of one contender's answers: how often it is right, how well calibrated it is, what it decides.

Not covered: how they are said (`evaluation_text`) and how two contenders differ (`differences`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge.statistics.calibration import (
    BINS,
    calibration_errors,
    class_calibration_errors,
    simulated_calibration_error,
)
from dermedge.statistics.decisions import Decided, decision_figures, set_figures
from dermedge.statistics.intervals import recall_at_specificity_interval, score_intervals
from dermedge.statistics.metrics import SPECIFICITIES, score
from dermedge.statistics.shares import share_interval
from dermedge.training.answers import Answers
from dermedge_runtime.decision import FAMILIAR

_SEED = 0


def figures(
    answers: Answers, labels: NDArray[np.int64], groups: NDArray[np.str_], classes: Sequence[str]
) -> dict[str, Any]:
    """Score answers; JSON-ready.

    :param labels: int64 [N], indices into `classes`, N at least 1.
    :param groups: [N], what is drawn for the intervals: the lesion, or the patient.
    :return: what `dermedge.statistics.metrics.score` gives; `intervals`, 95 % by group, of accuracy, balanced accuracy,
        and by class of recall, precision and the recall at each specificity, None where the data cannot give the
        figure; `calibration`; and, where the contender has them, `sets` and `decision`, as
        `dermedge.statistics.decisions` gives them, and `unfamiliar`.
    """
    found = {
        **score(labels, answers.probabilities, classes),
        "intervals": _intervals(answers.probabilities, labels, groups, classes),
        "calibration": calibration(labels, answers.probabilities, classes),
    }
    if answers.sets is not None and answers.rule is not None:
        decided = Decided(labels, groups, answers.sets, answers.decisions, classes)
        found["sets"] = set_figures(decided)
        found["decision"] = decision_figures(decided, answers.rule.urgent, answers.rule.melanoma)
    if answers.ood is not None:
        unlike = share_interval(answers.ood > FAMILIAR, np.ones(len(labels), dtype=bool), groups)
        found["unfamiliar"] = {"share": unlike.to_record(), "median_score": float(np.median(answers.ood))}
    return found


def calibration(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], classes: Sequence[str]
) -> dict[str, Any]:
    """Measure whether probabilities can be taken at their word; JSON-ready.

    :return: bins; expected_calibration_error, and what a perfectly calibrated model with the same confidences would
        show, of_a_perfect_model; classwise_calibration_error, the mean over all classes of the model, and each
        `per_class`; brier_score.
    """
    by_class = class_calibration_errors(labels, probabilities)
    return {
        "bins": BINS,
        **calibration_errors(labels, probabilities),
        "of_a_perfect_model": simulated_calibration_error(probabilities, _SEED),
        "per_class": dict(zip(classes, by_class.tolist(), strict=True)),
    }


def _intervals(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.str_], classes: Sequence[str]
) -> dict[str, Any]:
    drawn = score_intervals(groups, labels, probabilities.argmax(axis=1), len(classes))
    found: dict[str, Any] = {name: drawn[name][0].to_record() for name in ("accuracy", "balanced_accuracy")}
    for name in ("recall", "precision"):
        found[name] = {code: each.to_record() for code, each in zip(classes, drawn[name], strict=True)}
    for name, specificity in SPECIFICITIES.items():
        found[name] = {
            code: recall_at_specificity_interval(groups, labels == i, probabilities[:, i], specificity).to_record()
            for i, code in enumerate(classes)
        }
    return found
