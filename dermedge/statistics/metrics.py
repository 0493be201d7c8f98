"""Figures of merit of a classifier (paper, section 3.7), computed by scikit-learn and given as plain numbers.

scikit-learn has a number for what the data cannot give; here that is None, and left out of every mean.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    multilabel_confusion_matrix,
    precision_recall_fscore_support,
    recall_score,
    roc_auc_score,
)

from .operating_point import recall_at_specificity

SPECIFICITIES = {"recall_at_90_specificity": 0.90, "recall_at_95_specificity": 0.95}
"""Operating points: the recall of a class where so many of the other photographs stay unnamed."""


def balanced_accuracy(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Mean recall over the classes present in `labels`."""
    return float(recall_score(labels, predicted, labels=np.unique(labels), average="macro"))


def score(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]], classes: Sequence[str]
) -> dict[str, Any]:
    """Compute every figure.

    :param labels: int64 [N], indices into `classes`.
    :param probabilities: float [N, C].
    :return: accuracy, balanced_accuracy, macro means, `per_class` figures and the confusion matrix (rows: truth). A
        figure that the data cannot give (recall of an absent class) is None and left out of the macro mean. Of each
        class: precision, recall, f1 and specificity of the answers; auc (under the ROC curve), average_precision (under
        the precision-recall curve) and the recall at each of `SPECIFICITIES`, of its probability against the rest.
    """
    predicted, every = probabilities.argmax(axis=1), range(len(classes))
    figures = _per_class(labels, predicted, every)
    for name, figure in _OF_SCORES.items():
        figures[name] = [_of_scores(figure, labels == index, probabilities[:, index]) for index in every]
    images = np.bincount(labels, minlength=len(classes)).tolist()
    return {
        "images": len(labels),
        "accuracy": float(accuracy_score(labels, predicted)),
        "balanced_accuracy": balanced_accuracy(labels, predicted),
        "macro": _plain(figures.mean()),
        "per_class": {code: {"images": images[i], **_plain(figures.iloc[i])} for i, code in enumerate(classes)},
        "confusion_matrix": confusion_matrix(labels, predicted, labels=every).tolist(),
        "classes": list(classes),
    }


def _per_class(labels: NDArray[np.int64], predicted: NDArray[np.int64], every: range) -> pd.DataFrame:
    """Give the figures that a confusion matrix gives, a row for each class; NaN for what it cannot give."""
    precision, recall, f1, images = precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=np.nan
    )
    (negatives, alarms), _ = multilabel_confusion_matrix(labels, predicted, labels=every).transpose(1, 2, 0)
    with np.errstate(invalid="ignore"):
        specificity = negatives / (negatives + alarms)
    figures = pd.DataFrame({"precision": precision, "recall": recall, "f1": f1, "specificity": specificity})
    # A class that is there and never named has been missed every time; one that is not there cannot be.
    figures["precision"] = figures["precision"].mask(np.isnan(precision) & (images > 0), 0.0)
    figures["f1"] = figures["f1"].where(images > 0)
    return figures


_OF_SCORES: dict[str, Callable[[NDArray[np.bool_], NDArray[np.floating[Any]]], Any]] = {
    "auc": roc_auc_score,
    "average_precision": average_precision_score,
    **{name: partial(recall_at_specificity, specificity=share) for name, share in SPECIFICITIES.items()},
}


def _of_scores(
    figure: Callable[[NDArray[np.bool_], NDArray[np.floating[Any]]], Any],
    positive: NDArray[np.bool_],
    probability: NDArray[np.floating[Any]],
) -> float:
    """Figure of one class against the rest; NaN where one of them is absent."""
    return float(figure(positive, probability)) if 0 < positive.sum() < len(positive) else np.nan


def _plain(figures: pd.Series) -> dict[str, float | None]:
    return {str(name): None if np.isnan(value) else float(value) for name, value in figures.items()}
