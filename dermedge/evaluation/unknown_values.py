"""What a model's answers are worth when clinical values are unknown: none of them known, and each alone hidden.

The same photographs are asked again with values hidden from the model; the truth and the lesions stay. Not covered:
values that the data lack themselves (`patient_groups` has them as a group), and wrong ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge.data.samples import Sample
from dermedge.statistics.bootstrap import PairedOutcome, paired_bootstrap
from dermedge.statistics.intervals import recall_at_specificity_interval, score_intervals
from dermedge.training.predictions import labels_of

Answer = Callable[[Sequence[Sample]], NDArray[np.float32]]
"""Photographs to probabilities, float32 [N, classes]."""
KNOWN, NONE = "all that is known", "no value"
SPECIFICITY = 0.9


def hidden_fields(fields: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Give what is hidden in each case, by the case's name, the case without anything hidden first.

    :param fields: what the model reads; none gives no case.
    """
    if not fields:
        return {}
    alone = {f"no {field}": (field,) for field in fields} if len(fields) > 1 else {}
    return {KNOWN: (), NONE: tuple(fields), **alone}


def hide(samples: Sequence[Sample], fields: Sequence[str]) -> list[Sample]:
    """Give the same photographs of patients of whom these fields are unknown."""
    return [replace(s, clinical={n: v for n, v in s.clinical.items() if n not in fields}) for s in samples]


def unknown_values(
    answer: Answer,
    samples: Sequence[Sample],
    known: NDArray[np.float32],
    fields: Sequence[str],
    classes: Sequence[str],
    melanoma: str | None,
) -> dict[str, dict[str, Any]]:
    """Measure every case of `hidden_fields`.

    :param answer: what is measured.
    :param samples: at least one.
    :param known: its probabilities of these samples with nothing hidden, float32 [N, classes].
    :param fields: clinical fields that it reads.
    :param melanoma: class whose recall at a specificity of 0.9 is told; None where no class is melanoma alone.
    :return: JSON-ready figures by case; each is `value`, `low`, `high`, the 95 % interval by lesion, or None where the
        samples cannot give it. `balanced_accuracy_change` is against nothing hidden, on the same lesions.
    """
    found = {}
    for case, hidden in hidden_fields(fields).items():
        probabilities = answer(hide(samples, hidden)) if hidden else known
        found[case] = {"hidden": list(hidden), **_figures(samples, probabilities, known, classes, melanoma)}
    return found


def _figures(
    samples: Sequence[Sample],
    probabilities: NDArray[np.float32],
    known: NDArray[np.float32],
    classes: Sequence[str],
    melanoma: str | None,
) -> dict[str, Any]:
    labels, predicted = labels_of(samples), probabilities.argmax(axis=1)
    lesions = np.array([sample.lesion_id for sample in samples], dtype=np.str_)
    intervals = score_intervals(lesions, labels, predicted, len(classes))
    figures = {name: intervals[name][0] for name in ("accuracy", "balanced_accuracy")}
    if probabilities is not known:
        pairs = PairedOutcome(lesions, labels, predicted, known.argmax(axis=1))
        figures["balanced_accuracy_change"] = paired_bootstrap([pairs], len(classes))["balanced_accuracy"]
    if melanoma is not None:
        watched = classes.index(melanoma)
        figures["melanoma_recall_at_90_specificity"] = recall_at_specificity_interval(
            lesions, labels == watched, probabilities[:, watched], SPECIFICITY
        )
    return {name: interval.to_record() for name, interval in figures.items()}
