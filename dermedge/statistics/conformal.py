"""Thresholds that a new lesion passes with a promised probability: split conformal prediction.

Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random World" (2005); class by class: Vovk, "Conditional validity
of inductive conformal predictors" (2012). The promise holds for lesions of the same kind as those that the threshold
was found on, drawn alike; it is about the mean over such draws. A lesion counts once, however many pictures it has:
each of m pictures has the weight 1/m.
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
    return math.ceil(share / (1 - share) - _ROUNDING)


def passing_threshold(scores: NDArray[np.floating[Any]], lesions: NDArray[np.str_], share: float) -> float | None:
    """Give the largest threshold that a new lesion's score reaches with a probability of at least `share`.

    :param scores: float [N], larger is better.
    :param lesions: lesion of every score, [N].
    :param share: in (0, 1).
    :return: one of the scores; None where there are too few lesions (see `lesions_needed`).
    """
    _, own, pictures = np.unique(lesions, return_inverse=True, return_counts=True)
    # What is below the threshold, the new lesion among them, may be this many lesions.
    room = len(pictures) - math.ceil((len(pictures) + 1) * share - _ROUNDING)
    if room < 0:
        return None
    order = np.argsort(scores, kind="stable")
    below = np.cumsum((1 / pictures)[own[order]])
    return float(scores[order][np.searchsorted(below, room + _ROUNDING, side="right")])
