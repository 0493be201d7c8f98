"""Recall of one class at a specificity that must be kept: how many melanomas are found if 9 of 10 others stay alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve


def recall_at_specificity(
    positive: NDArray[np.bool_], scores: NDArray[np.floating[Any]], specificity: float = 0.9
) -> float | None:
    """Give the largest recall that a threshold on the scores reaches without losing more specificity.

    :param positive: bool [N], the photographs of the class.
    :param scores: float [N], its probabilities.
    :return: None where all photographs are of the class, or none.
    """
    if positive.all() or not positive.any():
        return None
    false_alarms, found, _ = roc_curve(positive, scores, drop_intermediate=False)
    # A hair of tolerance: 1 - 0.9 is not 0.1 in binary.
    return float(found[false_alarms <= 1 - specificity + 1e-12].max())
