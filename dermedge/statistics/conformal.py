"""Thresholds that a new photograph passes with a promised probability: split conformal prediction.

Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World" (2005); class by class: Vovk, "Conditional validity
of inductive conformal predictors" (2012). The promise holds for photographs of the same kind as those that the
threshold was found on, drawn alike; it is about the mean over such draws. Every photograph counts once, as where
coverage is measured; those of one lesion are alike, so that the lesions say how many are enough.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9
"""0.9 x 10 is not 9 in binary."""


def lesions_needed(share: float) -> int:
    """Give how many lesions a threshold for `share`, in (0, 1), takes at least."""
    return max(1, math.ceil(share / (1 - share) - _ROUNDING))


def passing_threshold(scores: NDArray[np.floating[Any]], lesions: NDArray[np.str_], share: float) -> float | None:
    """Give the largest threshold that a new score reaches with a probability of at least `share`.

    :param scores: float [N], larger is better.
    :param lesions: lesion of every score, [N].
    :param share: in (0, 1).
    :return: one of the scores; None where there are too few lesions (see `lesions_needed`).
    """
    if len(np.unique(lesions)) < lesions_needed(share):
        return None
    # What is below the threshold, the new photograph among them, may be this many.
    below = len(scores) - max(1, math.ceil((len(scores) + 1) * share - _ROUNDING))
    return float(np.sort(scores)[below])
