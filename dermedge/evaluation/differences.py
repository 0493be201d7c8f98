"""What a model file answers otherwise than the trained weights, on the same photographs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dermedge.training.answers import Answers


def difference(
    answers: Answers, scores: Mapping[str, Any], baseline: Answers, baseline_scores: Mapping[str, Any]
) -> dict[str, Any]:
    """Compare two contenders; JSON-ready.

    :param scores: of `answers`, as `dermedge.statistics.metrics.score` gives them; so are `baseline_scores`.
    :return: the change of accuracy, of balanced_accuracy and, by class, of recall, where there is one; how many
        answers_changed, and the largest_probability_change.
    """
    recall = {}
    for code, row in scores["per_class"].items():
        before = baseline_scores["per_class"][code]["recall"]
        if row["recall"] != before:
            recall[code] = row["recall"] - before
    changed = answers.probabilities.argmax(axis=1) != baseline.probabilities.argmax(axis=1)
    return {
        "accuracy": scores["accuracy"] - baseline_scores["accuracy"],
        "balanced_accuracy": scores["balanced_accuracy"] - baseline_scores["balanced_accuracy"],
        "recall": recall,
        "answers_changed": int(changed.sum()),
        "largest_probability_change": float(abs(answers.probabilities - baseline.probabilities).max()),
    }
