"""Confidence intervals of one classifier's figures, by resampling lesions.

Photographs of one lesion are alike, so the lesion is what is drawn. Covered: what a confusion matrix gives, for all
photographs or a group of them, and the recall at a given specificity. Not covered: the difference between two
classifiers (`bootstrap`), the AUC, and what another training would give: the interval takes the trained weights as they
are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bootstrap import REPLICATES, Interval, multiplicities

_Floats = NDArray[np.float64]


def score_intervals(
    lesions: NDArray[np.str_],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    n_classes: int,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, list[Interval]]:
    """Estimate 95 % percentile intervals.

    :param lesions: lesion of every photograph, [N], N at least 1.
    :param labels: true classes, below `n_classes`.
    :param predicted: predicted classes.
    :return: `accuracy` and `balanced_accuracy`, one interval each; `recall` and `precision`, one per class. What the
        photographs cannot give is NaN; a replicate without a class leaves it out of its mean.
    """
    names, own = np.unique(lesions, return_inverse=True)
    cells = n_classes * n_classes
    cell = own * cells + labels * n_classes + predicted
    by_lesion = np.bincount(cell, minlength=len(names) * cells).reshape(len(names), cells).astype(np.float64)
    drawn = [
        confusion_figures((counts @ by_lesion).reshape(-1, n_classes, n_classes))
        for counts in multiplicities(len(names), replicates, seed)
    ]
    value = confusion_figures(by_lesion.sum(axis=0).reshape(1, n_classes, n_classes))
    return {name: _intervals(value[name][0], np.concatenate([part[name] for part in drawn])) for name in value}


def confusion_figures(matrices: _Floats) -> dict[str, _Floats]:
    """Figures of confusion matrices float [R, C, C] (rows: truth); float [R, 1] or [R, C] each."""
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    actual, claimed = matrices.sum(axis=2), matrices.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = hits / actual, hits / claimed
        present = actual > 0
        balanced = np.where(present, recall, 0.0).sum(axis=1) / present.sum(axis=1)
        accuracy = hits.sum(axis=1) / actual.sum(axis=1)
    return {
        "accuracy": accuracy[:, None],
        "balanced_accuracy": balanced[:, None],
        "recall": recall,
        "precision": precision,
    }


def _intervals(values: _Floats, drawn: _Floats) -> list[Interval]:
    found = []
    for value, column in zip(values, drawn.T, strict=True):
        known = column[~np.isnan(column)]
        low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (np.nan, np.nan)
        found.append(Interval(float(value), float(low), float(high)))
    return found


def recall_at_specificity_interval(
    lesions: NDArray[np.str_],
    positive: NDArray[np.bool_],
    scores: NDArray[np.floating[Any]],
    specificity: float = 0.9,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Interval:
    """Estimate the 95 % percentile interval of `recall_at_specificity`; every replicate has a threshold of its own.

    :param lesions: lesion of every photograph, [N], N at least 1.
    :param positive: bool [N], the photographs of the class.
    :param scores: float [N], its probabilities.
    :return: NaN where all photographs are of the class, or none; a replicate of which that is true is left out.
    """
    names, own = np.unique(lesions, return_inverse=True)
    order = np.argsort(-scores, kind="stable")
    own, hit = own[order], positive[order]
    # A threshold takes all photographs of one score, or none of them.
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    drawn = [
        weighted_recall_at(counts[:, own], hit, ends, specificity)
        for counts in multiplicities(len(names), replicates, seed)
    ]
    value = weighted_recall_at(np.ones((1, len(hit))), hit, ends, specificity)
    return _intervals(value, np.concatenate(drawn)[:, None])[0]


def weighted_recall_at(weights: _Floats, hit: NDArray[np.bool_], ends: NDArray[np.intp], specificity: float) -> _Floats:
    """Recall [R] of photographs that count `weights` [R, N] times, by falling score; `ends`: possible thresholds."""
    found = np.cumsum(weights * hit, axis=1)[:, ends]
    alarms = np.cumsum(weights * ~hit, axis=1)[:, ends]
    most = (1 - specificity) * alarms[:, -1:] + 1e-9  # 1 - 0.9 is not 0.1 in binary
    with np.errstate(invalid="ignore", divide="ignore"):
        recall: _Floats = np.where(alarms <= most, found, 0.0).max(axis=1) / found[:, -1]
    return np.where(alarms[:, -1] > 0, recall, np.nan)


def group_intervals(
    groups: Mapping[str, NDArray[np.bool_]],
    lesions: NDArray[np.str_],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    n_classes: int,
) -> dict[str, dict[str, Any]]:
    """Give the same for parts of the photographs, by name; a part without any is left out.

    :param groups: which photographs belong to each, bool [N].
    :return: for each its number of `images` and `lesions`, and `intervals`, as `score_intervals` gives them.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, chosen in groups.items():
        if chosen.any():
            own = lesions[chosen]
            found[name] = {
                "images": int(chosen.sum()),
                "lesions": len(np.unique(own)),
                "intervals": score_intervals(own, labels[chosen], predicted[chosen], n_classes),
            }
    return found
