"""Figures of one classifier with their intervals, averaged over the test sets of several seeds, by resampling lesions.

A lesion that a replicate draws counts as often in every test set that holds it: test sets of several seeds overlap.
Covered: accuracy, balanced accuracy, recall at 90 % specificity of one class, AUC, calibration error. Not covered: what
another training would give (`intervals` says the same of one test set).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bootstrap import REPLICATES, Interval, multiplicities
from .calibration import BINS
from .intervals import confusion_figures, weighted_recall_at

POOLED = ("accuracy", "balanced_accuracy", "recall_at_90_specificity", "auc", "calibration_error")
"""Names of the figures: recall is that of `positive`, AUC the macro mean of one class against the rest, calibration
error that of the highest probability."""
_SPECIFICITY = 0.9
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answers:
    """What a classifier said about the N photographs of one test set."""

    lesions: NDArray[np.str_]
    """Lesion of every photograph, [N], N at least 1."""
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    """[N, classes]."""


def pooled_intervals(
    answers: Sequence[Answers], positive: int, *, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Interval]:
    """Estimate the figures of `POOLED` with 95 % percentile intervals, each the mean over the test sets.

    :param answers: one test set per seed, at least one.
    :param positive: class whose recall is measured.
    :return: shares; NaN where no test set can give the figure. A replicate that cannot leaves it out.
    """
    lesions = np.unique(np.concatenate([each.lesions for each in answers]))
    measures = [_measure(each, np.searchsorted(lesions, each.lesions), positive) for each in answers]

    def mean(counts: _Floats) -> _Floats:
        stacked = np.stack([measure(counts) for measure in measures])
        known = ~np.isnan(stacked)
        with np.errstate(invalid="ignore"):
            found: _Floats = np.where(known, stacked, 0.0).sum(axis=0) / known.sum(axis=0)
        return found

    drawn = np.concatenate([mean(counts) for counts in multiplicities(len(lesions), replicates, seed)])
    value = mean(np.ones((1, len(lesions))))[0]
    found = {}
    for place, name in enumerate(POOLED):
        known = drawn[:, place][~np.isnan(drawn[:, place])]
        low, high = np.percentile(known, (2.5, 97.5)) if len(known) else (np.nan, np.nan)
        found[name] = Interval(float(value[place]), float(low), float(high))
    return found


def _measure(answers: Answers, own: NDArray[np.intp], positive: int) -> Callable[[_Floats], _Floats]:
    """Make what gives the figures of one test set, float [R, figures], for counts of all lesions, [R, lesions]."""
    labels, shares = answers.labels, answers.probabilities
    classes = shares.shape[1]
    predicted, top = shares.argmax(axis=1), shares.max(axis=1).astype(np.float64)
    cell = labels * classes + predicted
    bins = np.clip(np.ceil(top * BINS).astype(np.int64) - 1, 0, BINS - 1)
    excess = top - (predicted == labels)
    rankings = [_ranked(shares[:, index]) for index in range(classes)]

    def measure(counts: _Floats) -> _Floats:
        weights = counts[:, own]
        figures = confusion_figures(_sums(weights, cell, classes * classes).reshape(-1, classes, classes))
        order, ends = rankings[positive]
        recall = weighted_recall_at(weights[:, order], labels[order] == positive, ends, _SPECIFICITY)
        aucs = np.stack([_auc(weights, labels == index, *rankings[index]) for index in range(classes)])
        known = ~np.isnan(aucs)
        with np.errstate(invalid="ignore", divide="ignore"):
            auc = np.where(known, aucs, 0.0).sum(axis=0) / known.sum(axis=0)
            error = np.abs(_sums(weights * excess, bins, BINS)).sum(axis=1) / weights.sum(axis=1)
        return np.stack([figures["accuracy"][:, 0], figures["balanced_accuracy"][:, 0], recall, auc, error], axis=1)

    return measure


def _sums(values: _Floats, groups: NDArray[np.int64], length: int) -> _Floats:
    """Sum values [R, N] by the group of each photograph; [R, length]."""
    indicator = np.zeros((len(groups), length))
    indicator[np.arange(len(groups)), groups] = 1.0
    sums: _Floats = values @ indicator
    return sums


def _ranked(scores: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order of falling score, and where in it photographs of one score end."""
    order = np.argsort(-scores, kind="stable")
    return order, np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))


def _auc(weights: _Floats, hit: NDArray[np.bool_], order: NDArray[np.intp], ends: NDArray[np.intp]) -> _Floats:
    """Area under the ROC curve, float [R], of photographs that count `weights` times; NaN without both kinds."""
    weights, hit = weights[:, order], hit[order]
    found = np.cumsum(weights * hit, axis=1)[:, ends]
    alarms = np.cumsum(weights * ~hit, axis=1)[:, ends]
    steps = np.diff(alarms, axis=1, prepend=0.0)
    before = np.concatenate([np.zeros((len(found), 1)), found[:, :-1]], axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        area: _Floats = (steps * (found + before) / 2).sum(axis=1) / (found[:, -1] * alarms[:, -1])
    return area
