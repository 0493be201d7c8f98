"""Whether probabilities can be taken at their word: calibration errors, Brier score, and what chance alone would give.

Covered: the error of the highest probability (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017), of
every class's own (Kull et al., "Beyond temperature scaling", NeurIPS 2019), and the error that a perfectly calibrated
model would show on as few photographs. Not covered: making probabilities better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Bins of equal width, as most of the literature has them."""
SIMULATIONS = 1000
_CHUNK = 100
"""Simulations at a time: bounds the memory to `_CHUNK` numbers per photograph."""
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reliability:
    """What a reliability diagram shows: claimed and true shares, by bins of the claimed probability, [bins] each."""

    counts: NDArray[np.int64]
    """Photographs in each bin; bin i holds probabilities above i / bins, up to and with (i + 1) / bins."""
    claimed: _Floats
    """Mean probability; NaN in an empty bin."""
    true: _Floats
    """Share of photographs for which what was claimed is true; NaN in an empty bin."""

    @property
    def error(self) -> float:
        """Mean distance between the two over all photographs, in [0, 1]."""
        weights = self.counts / self.counts.sum()
        return float(np.nansum(weights * np.abs(self.claimed - self.true)))


def reliability(hits: NDArray[np.bool_], claimed: NDArray[np.floating[Any]], bins: int = BINS) -> Reliability:
    """Compare probabilities with what came true.

    :param hits: bool [N], N at least 1.
    :param claimed: float [N], the probability in [0, 1] that was claimed for each.
    """
    own, shares = _bin_of(claimed, bins), claimed.astype(np.float64)
    counts = np.bincount(own, minlength=bins)
    with np.errstate(invalid="ignore"):
        sums = (np.bincount(own, weights=values, minlength=bins) for values in (shares, hits.astype(np.float64)))
        mean, true = (total / counts for total in sums)
    return Reliability(counts, mean, true)


def top_reliability(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]], bins: int = BINS
) -> Reliability:
    """Compare the highest probability of every photograph with how often its class is right.

    :param labels: int64 [N], indices of classes, N at least 1.
    :param probabilities: float [N, C].
    """
    return reliability(probabilities.argmax(axis=1) == labels, probabilities.max(axis=1), bins)


def expected_calibration_error(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]], bins: int = BINS
) -> float:
    """Give how far the highest probability is from how often its class is right, in [0, 1].

    :param labels: int64 [N], indices of classes, N at least 1.
    :param probabilities: float [N, C].
    """
    return top_reliability(labels, probabilities, bins).error


def class_calibration_errors(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]], bins: int = BINS
) -> _Floats:
    """Give the same for the probability of every single class, whatever the highest is; float64 [C] in [0, 1].

    :param labels: int64 [N], indices of classes, N at least 1.
    :param probabilities: float [N, C].
    """
    columns = range(probabilities.shape[1])
    return np.array([reliability(labels == index, probabilities[:, index], bins).error for index in columns])


def classwise_calibration_error(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]], bins: int = BINS
) -> float:
    """Give the mean of `class_calibration_errors`, every class counting alike, in [0, 1]."""
    return float(class_calibration_errors(labels, probabilities, bins).mean())


def brier_score(labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]) -> float:
    """Give the squared distance between probabilities and truth, summed over classes: 0 for an oracle, at most 2.

    :param labels: int64 [N], indices of classes, N at least 1.
    :param probabilities: float [N, C].
    """
    truth = np.eye(probabilities.shape[1])[labels]
    return float(np.mean(np.sum((probabilities.astype(np.float64) - truth) ** 2, axis=1)))


def calibration_errors(labels: NDArray[np.int64], probabilities: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Give the three figures of the same names above, JSON-ready.

    :param labels: int64 [N], indices of classes, N at least 1.
    :param probabilities: float [N, C].
    """
    return {
        "expected_calibration_error": expected_calibration_error(labels, probabilities),
        "classwise_calibration_error": classwise_calibration_error(labels, probabilities),
        "brier_score": brier_score(labels, probabilities),
    }


def simulated_calibration_error(
    probabilities: NDArray[np.floating[Any]], seed: int, *, bins: int = BINS, simulations: int = SIMULATIONS
) -> float:
    """Give the `expected_calibration_error` that a perfectly calibrated model with the same confidences would show.

    It is not 0: a bin of few photographs misses its probability by chance. Every simulation draws anew whether the
    most probable class of each photograph is right; the photographs count as independent, which those of one lesion
    are not, so that the true figure is somewhat larger.

    :param probabilities: float [N, C], N at least 1.
    :return: the mean over the simulations, in [0, 1].
    """
    claimed = probabilities.max(axis=1).astype(np.float64)
    order = np.argsort(claimed, kind="stable")
    claimed = claimed[order]
    starts = np.unique(_bin_of(claimed, bins), return_index=True)[1]
    rng, errors = np.random.default_rng(seed), []
    for first in range(0, simulations, _CHUNK):
        drawn = rng.random((min(_CHUNK, simulations - first), len(claimed))) < claimed
        gaps = np.add.reduceat(drawn - claimed, starts, axis=1)
        errors.append(np.abs(gaps).sum(axis=1) / len(claimed))
    return float(np.concatenate(errors).mean())


def _bin_of(claimed: NDArray[np.floating[Any]], bins: int) -> NDArray[np.intp]:
    """Give the bin of each probability, in [0, bins): a border belongs to the bin below it."""
    return np.clip(np.ceil(claimed.astype(np.float64) * bins).astype(np.intp) - 1, 0, bins - 1)
