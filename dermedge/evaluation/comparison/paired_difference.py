"""How much better the runs of one row are than those of another on the same test photographs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from dermedge.statistics.bootstrap import PairedOutcome, paired_bootstrap

from .results import read_predictions
from .rows import Record


def paired_difference(pairs: Iterable[tuple[Path, Path]]) -> Record:
    """Give the differences of accuracy and balanced accuracy, each with its 95 % interval by lesion.

    :param pairs: run folders, at least one pair: a run of the row, and the run of the other with the same test split.
    """
    outcomes, classes = [], 0
    for folder, baseline in pairs:
        one, other = read_predictions(folder), read_predictions(baseline)
        predicted, expected = one.probabilities.argmax(axis=1), other.probabilities.argmax(axis=1)
        outcomes.append(PairedOutcome(one.lesions, one.labels, predicted, expected))
        classes = one.probabilities.shape[1]
    return {name: asdict(value) for name, value in paired_bootstrap(outcomes, classes).items()}
