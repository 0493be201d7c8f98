"""Intervals of the difference between two classifiers on the same photographs, by resampling lesions.

Photographs of one lesion are alike, so the lesion is what is drawn. Covered: accuracy and balanced accuracy, one test
set or one for each of several seeds. Not covered: what another training with another seed would give; the interval
takes the trained weights as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

REPLICATES = 2000
_CHUNK = 100
"""Replicates at a time: bounds the memory to `_CHUNK` numbers per lesion."""
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, or the difference of two, with its 95 % percentile interval."""

    value: float
    low: float
    high: float

    def to_record(self) -> dict[str, float] | None:
        """Give the three by name; None where the data could not give the figure, so that it is NaN."""
        return None if np.isnan(self.value) else asdict(self)


@dataclass(frozen=True, slots=True)
class PairedOutcome:
    """What two classifiers said about the N photographs of one test set."""

    lesions: NDArray[np.str_]
    """Lesion of every photograph, [N]."""
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    baseline: NDArray[np.int64]


def paired_bootstrap(
    outcomes: Sequence[PairedOutcome], n_classes: int, *, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Interval]:
    """Estimate how much better `predicted` is than `baseline`, averaged over the test sets.

    A replicate draws as many lesions as all test sets have together, with repetition, and counts a lesion as often in
    every test set that holds it: test sets of several seeds overlap, and are not independent.

    :param outcomes: one per seed; at least one photograph each.
    :param n_classes: labels are below this.
    :return: `accuracy` and `balanced_accuracy`, as shares. A class that a replicate lacks is left out of its mean.
    """
    assert outcomes
    lesions = np.unique(np.concatenate([outcome.lesions for outcome in outcomes]))
    tables = [_by_lesion(outcome, lesions, n_classes) for outcome in outcomes]
    drawn = [_differences(counts, tables) for counts in multiplicities(len(lesions), replicates, seed)]
    low, high = np.nanpercentile(np.concatenate(drawn), (2.5, 97.5), axis=0)
    value = _differences(np.ones((1, len(lesions))), tables)[0]
    names = ("accuracy", "balanced_accuracy")
    return {name: Interval(float(value[i]), float(low[i]), float(high[i])) for i, name in enumerate(names)}


def _by_lesion(outcome: PairedOutcome, lesions: NDArray[np.str_], n_classes: int) -> tuple[_Floats, _Floats]:
    """Give photographs, and hits more than the baseline's, of every lesion and class; float [lesions, classes] each."""
    cell = np.searchsorted(lesions, outcome.lesions) * n_classes + outcome.labels
    gain: _Floats = (outcome.predicted == outcome.labels).astype(np.float64) - (outcome.baseline == outcome.labels)
    shape, length = (len(lesions), n_classes), len(lesions) * n_classes
    photographs = np.bincount(cell, minlength=length).astype(np.float64)
    gained: _Floats = np.bincount(cell, weights=gain, minlength=length).reshape(shape).astype(np.float64)
    return photographs.reshape(shape), gained


def multiplicities(lesions: int, replicates: int, seed: int) -> Iterator[_Floats]:
    """Give how often each replicate drew each lesion, float [at most `_CHUNK` replicates, lesions] at a time."""
    rng = np.random.default_rng(seed)
    for start in range(0, replicates, _CHUNK):
        shape = (min(_CHUNK, replicates - start), lesions)
        drawn = rng.integers(lesions, size=shape) + lesions * np.arange(shape[0])[:, None]
        yield np.bincount(drawn.ravel(), minlength=shape[0] * lesions).reshape(shape).astype(np.float64)


def _differences(multiplicities: _Floats, tables: Sequence[tuple[_Floats, _Floats]]) -> _Floats:
    """Differences of accuracy and balanced accuracy, float [replicates, 2]; NaN where a replicate has no photograph."""
    found = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for photographs, gain in tables:
            totals, gains = multiplicities @ photographs, multiplicities @ gain
            recall = np.where(totals > 0, gains / totals, 0.0)
            accuracy = gains.sum(axis=1) / totals.sum(axis=1)
            found.append(np.stack([accuracy, recall.sum(axis=1) / (totals > 0).sum(axis=1)], axis=1))
        stacked = np.stack(found)
        present = ~np.isnan(stacked)
        mean: _Floats = np.where(present, stacked, 0.0).sum(axis=0) / present.sum(axis=0)
    return mean
