"""One temperature for the scores of a classifier, so that its probabilities are no surer than it is right.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. The fit is by cross-entropy on photographs that the
classifier has not learned from.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

SMALLEST_VALIDATION = 30
"""Lesions of a validation split; fewer say nothing about probabilities."""


def cross_entropy(scores: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> float:
    """Give the mean negative log-likelihood of the labels, int64 [N], under scores float [N, classes]."""
    logs = log_softmax(scores, axis=1)
    return float(-logs[np.arange(len(labels)), labels].mean())


def inverse_temperature(scores: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> float:
    """Give the factor of scores float [N, classes] that makes the labels, int64 [N], most likely; above 0."""
    values = scores.astype(np.float64)

    def loss(logarithm: NDArray[np.float64]) -> float:
        return cross_entropy(values * np.exp(logarithm[0]), labels)

    found = minimize(loss, np.zeros(1), method="Nelder-Mead")
    return float(np.exp(found.x[0]))
