"""Figures of one classifier over the test sets of several seeds, by lesion."""

import numpy as np
import pytest

from dermedge.statistics.calibration import expected_calibration_error
from dermedge.statistics.intervals import recall_at_specificity_interval, score_intervals
from dermedge.statistics.metrics import score
from dermedge.statistics.pooled_intervals import POOLED, Answers, pooled_intervals

CLASSES = ("a", "b", "c")


def answers(seed: int, images: int = 60) -> Answers:
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=images)
    shares = rng.dirichlet((1, 1, 1), size=images).round(2) + 0.5 * np.eye(3)[labels]  # rounded, so that there are ties
    lesions = np.array([f"L{number}" for number in rng.integers(25, size=images)])
    return Answers(lesions, labels, (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32))


def test_of_one_test_set_it_says_what_the_others_say() -> None:
    one = answers(1)
    found = pooled_intervals([one], 2, replicates=200)
    predicted = one.probabilities.argmax(axis=1)
    expected = score_intervals(one.lesions, one.labels, predicted, 3, replicates=200)
    for name in ("accuracy", "balanced_accuracy"):
        assert found[name] == expected[name][0]
    recall = recall_at_specificity_interval(one.lesions, one.labels == 2, one.probabilities[:, 2], replicates=200)
    assert found["recall_at_90_specificity"] == recall
    assert found["auc"].value == pytest.approx(score(one.labels, one.probabilities, CLASSES)["macro"]["auc"])
    error = expected_calibration_error(one.labels, one.probabilities)
    assert found["calibration_error"].value == pytest.approx(error)
    for name in POOLED:
        assert found[name].low <= found[name].high


def test_of_several_it_is_the_mean_and_the_same_set_twice_adds_nothing() -> None:
    one, other = answers(1), answers(2)
    whole = pooled_intervals([one, other], 0, replicates=50)
    single = [pooled_intervals([each], 0, replicates=50) for each in (one, other)]
    for name in POOLED:
        assert whole[name].value == pytest.approx(np.mean([each[name].value for each in single]))
    twice = pooled_intervals([one, one], 0, replicates=50)
    for name in POOLED:  # a lesion counts as often in both
        assert twice[name].low == pytest.approx(single[0][name].low)


def test_what_no_photograph_can_give_is_nan() -> None:
    one = answers(3)
    alone = Answers(one.lesions, np.zeros_like(one.labels), one.probabilities)
    found = pooled_intervals([alone], 1, replicates=20)
    assert np.isnan(found["auc"].value) and np.isnan(found["recall_at_90_specificity"].value)
    assert found["accuracy"].value == found["balanced_accuracy"].value
