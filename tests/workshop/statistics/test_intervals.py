"""Intervals of one classifier's figures: values by hand, lesions drawn whole."""

import numpy as np
import pytest

from dermedge.statistics.intervals import group_intervals, score_intervals

LESIONS = np.array(["a", "a", "b", "c", "d", "d"])
LABELS = np.array([0, 0, 0, 1, 1, 1])
PREDICTED = np.array([0, 1, 0, 1, 1, 0])


def test_the_values_are_those_of_all_photographs() -> None:
    found = score_intervals(LESIONS, LABELS, PREDICTED, 3)
    assert found["accuracy"][0].value == pytest.approx(4 / 6)
    assert found["balanced_accuracy"][0].value == pytest.approx((2 / 3 + 2 / 3) / 2)  # the absent class does not count
    assert [interval.value for interval in found["recall"][:2]] == pytest.approx([2 / 3, 2 / 3])
    assert [interval.value for interval in found["precision"][:2]] == pytest.approx([2 / 3, 2 / 3])
    assert np.isnan(found["recall"][2].value) and np.isnan(found["precision"][2].low)


def test_the_ends_are_percentiles_over_drawn_lesions() -> None:
    rng = np.random.default_rng(5)
    names, accuracies = np.unique(LESIONS), []
    for _ in range(4000):
        drawn = rng.choice(names, len(names))
        rows = np.concatenate([np.flatnonzero(name == LESIONS) for name in drawn])
        accuracies.append(np.mean(PREDICTED[rows] == LABELS[rows]))
    low, high = np.percentile(accuracies, (2.5, 97.5))
    found = score_intervals(LESIONS, LABELS, PREDICTED, 2, replicates=4000)["accuracy"][0]
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.03)


def test_photographs_of_one_lesion_are_drawn_together() -> None:
    """A hundred photographs of two lesions are two observations, not a hundred."""
    lesions = np.repeat(["a", "b"], 50)
    labels, predicted = np.zeros(100, dtype=np.int64), np.repeat([0, 1], 50)
    found = score_intervals(lesions, labels, predicted, 2)["accuracy"][0]
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    first, second = (score_intervals(LESIONS, LABELS, PREDICTED, 2, replicates=150) for _ in range(2))
    assert first == second


def test_groups_hold_their_own_photographs() -> None:
    groups = {"first": np.array([True] * 3 + [False] * 3), "nobody": np.zeros(6, dtype=bool)}
    found = group_intervals(groups, LESIONS, LABELS, PREDICTED, 2)
    assert list(found) == ["first"]
    assert (found["first"]["images"], found["first"]["lesions"]) == (3, 2)
    assert found["first"]["intervals"]["accuracy"][0].value == pytest.approx(2 / 3)
