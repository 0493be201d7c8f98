"""Intervals of one classifier's figures: values by hand, lesions drawn whole."""

import numpy as np
import pytest

from dermedge.statistics.bootstrap import multiplicities
from dermedge.statistics.intervals import (
    group_intervals,
    recall_at_specificity_interval,
    score_intervals,
)
from dermedge.statistics.operating_point import recall_at_specificity

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


def test_the_recall_at_a_specificity_is_that_of_the_drawn_photographs() -> None:
    rng = np.random.default_rng(3)
    lesions = np.repeat([f"l{number:02}" for number in range(40)], 3)
    positive = np.repeat(rng.random(40) < 0.3, 3)
    scores = np.round(positive * 0.2 + rng.random(120) * 0.8, 1)  # many are equal
    drawn = []
    for counts in np.concatenate(list(multiplicities(40, 300, 0))):
        rows = np.repeat(np.arange(120), np.repeat(counts, 3).astype(int))
        drawn.append(recall_at_specificity(positive[rows], scores[rows]))
    found = recall_at_specificity_interval(lesions, positive, scores, replicates=300)
    assert found.value == pytest.approx(recall_at_specificity(positive, scores))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, (2.5, 97.5))))
    assert 0 < found.low < found.high < 1


@pytest.mark.parametrize("positive", [True, False])
def test_without_melanomas_or_with_nothing_else_there_is_no_recall_at_a_specificity(positive: bool) -> None:
    found = recall_at_specificity_interval(LESIONS, np.full(6, positive), np.linspace(0, 1, 6))
    assert np.isnan([found.value, found.low, found.high]).all()
