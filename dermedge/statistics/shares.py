"""Shares of photographs with their intervals, by lesion: how many of those that matter are what they should be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .bootstrap import REPLICATES, Interval, multiplicities

_NORMAL_975 = 1.959963984540054
"""97.5 % quantile of the normal distribution."""


def share_interval(
    hits: NDArray[np.bool_],
    among: NDArray[np.bool_],
    lesions: NDArray[np.str_],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Interval:
    """Give the share of hits among some photographs with its 95 % interval.

    Lesions are resampled, whose photographs are alike. Where all are hits, or none, resampling knows no uncertainty:
    then it is Wilson's interval, of as many trials as there are lesions.

    :param hits: bool [N].
    :param among: which photographs count, bool [N].
    :param lesions: lesion of every photograph, [N].
    :return: NaN three times where no photograph counts.
    """
    if not among.any():
        return Interval(np.nan, np.nan, np.nan)
    names, own = np.unique(lesions[among], return_inverse=True)
    right = np.bincount(own, weights=hits[among].astype(np.float64), minlength=len(names))
    total = np.bincount(own, minlength=len(names)).astype(np.float64)
    value = float(right.sum() / total.sum())
    if value in (0.0, 1.0):
        # Wilson's formula for all hits, or none: so that shares need no SciPy, which only the workshop has.
        far = len(names) / (len(names) + _NORMAL_975**2)
        return Interval(value, far, 1.0) if value else Interval(value, 0.0, 1 - far)
    drawn = np.concatenate(
        [(counts @ right) / (counts @ total) for counts in multiplicities(len(names), replicates, seed)]
    )
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Interval(value, float(low), float(high))
