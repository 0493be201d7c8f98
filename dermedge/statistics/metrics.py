"""Figures of merit of a classifier (paper, section 3.7), computed with scikit-learn and given as plain numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score


def balanced_accuracy(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Mean recall over the classes present in `labels`."""
    return float(np.mean([np.mean(predicted[labels == label] == label) for label in np.unique(labels)]))


def score(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]], classes: Sequence[str]
) -> dict[str, Any]:
    """Compute every figure.

    :param labels: int64 [N], indices into `classes`.
    :param probabilities: float [N, C].
    :return: accuracy, balanced_accuracy, macro means, `per_class` figures and the confusion matrix (rows: truth). A
        figure that the data cannot give (recall of an absent class) is None and left out of the macro mean.
    """
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, labels=range(len(classes)))
    per_class = {code: _one_class(matrix, index, labels, probabilities) for index, code in enumerate(classes)}
    names = ("precision", "recall", "f1", "specificity", "auc")
    macro = {name: _mean([row[name] for row in per_class.values()]) for name in names}
    return {
        "images": len(labels),
        "accuracy": float(np.mean(predicted == labels)),
        "balanced_accuracy": balanced_accuracy(labels, predicted),
        "macro": macro,
        "per_class": per_class,
        "confusion_matrix": matrix.tolist(),
        "classes": list(classes),
    }


def _one_class(
    matrix: NDArray[np.int64], index: int, labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]
) -> dict[str, Any]:
    hit = int(matrix[index, index])
    actual, claimed, total = int(matrix[index].sum()), int(matrix[:, index].sum()), int(matrix.sum())
    recall = hit / actual if actual else None
    precision = hit / claimed if claimed else (0.0 if actual else None)
    negatives = total - actual
    one_vs_rest = labels == index
    return {
        "images": actual,
        "precision": precision,
        "recall": recall,
        "f1": 2 * hit / (actual + claimed) if actual else None,
        "specificity": (negatives - (claimed - hit)) / negatives if negatives else None,
        "auc": float(roc_auc_score(one_vs_rest, probabilities[:, index])) if 0 < actual < total else None,
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
