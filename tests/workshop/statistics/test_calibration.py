from math import comb

import numpy as np
import pytest

from dermedge.statistics.calibration import (
    brier_score,
    class_calibration_errors,
    classwise_calibration_error,
    expected_calibration_error,
    simulated_calibration_error,
    top_reliability,
)

LABELS = np.array([0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [[0.9, 0.1, 0.0], [0.8, 0.1, 0.1], [0.85, 0.15, 0.0], [0.2, 0.6, 0.2], [0.1, 0.3, 0.6]], dtype=np.float32
)


def test_the_error_of_the_highest_probability_equals_the_one_computed_by_hand():
    # Two bins: all five probabilities lie above 0.5; four of the five classes are right.
    assert expected_calibration_error(LABELS, PROBABILITIES, bins=2) == pytest.approx(0.8 - 0.75)
    # Four bins: (0.5, 0.75] holds 0.6 twice, both right; (0.75, 1] holds 0.9, 0.8 and 0.85, two of three right.
    expected = 2 / 5 * (1 - 0.6) + 3 / 5 * (0.85 - 2 / 3)
    assert expected_calibration_error(LABELS, PROBABILITIES, bins=4) == pytest.approx(expected)


def test_a_border_belongs_to_the_bin_below_and_the_ends_to_their_own():
    two = np.array([[0.5, 0.5], [0.0, 1.0], [0.75, 0.25]])
    assert top_reliability(np.array([0, 1, 0]), two, bins=4).counts.tolist() == [0, 1, 1, 1]
    assert class_calibration_errors(np.array([0, 0, 0]), np.array([[0.0, 1.0]] * 3)).tolist() == [1.0, 1.0]


def test_a_diagram_says_what_was_claimed_and_what_was_true():
    shown = top_reliability(LABELS, PROBABILITIES, bins=4)
    assert shown.counts.tolist() == [0, 0, 2, 3]
    assert shown.claimed[2:] == pytest.approx([0.6, 0.85]) and np.isnan(shown.claimed[:2]).all()
    assert shown.true[2:] == pytest.approx([1, 2 / 3]) and np.isnan(shown.true[:2]).all()


def test_every_class_has_an_error_of_its_own():
    by_hand = [
        # Class 0, bins of 0.5: 0.1 and 0.2, never true; 0.9, 0.8, 0.85, true twice.
        2 / 5 * 0.15 + 3 / 5 * (0.85 - 2 / 3),
        # Class 1: 0.1, 0.1, 0.15, 0.3, true once; 0.6, true.
        4 / 5 * (0.25 - 0.65 / 4) + 1 / 5 * 0.4,
        # Class 2: 0, 0.1, 0, 0.2, never true; 0.6, true.
        4 / 5 * 0.3 / 4 + 1 / 5 * 0.4,
    ]
    assert class_calibration_errors(LABELS, PROBABILITIES, bins=2) == pytest.approx(by_hand)
    assert classwise_calibration_error(LABELS, PROBABILITIES, bins=2) == pytest.approx(np.mean(by_hand))


def test_the_brier_score_is_the_squared_distance_summed_over_classes():
    by_hand = [0.01 + 0.01, 0.04 + 0.01 + 0.01, 0.85**2 * 2, 0.04 + 0.16 + 0.04, 0.01 + 0.09 + 0.16]
    assert brier_score(LABELS, PROBABILITIES) == pytest.approx(np.mean(by_hand))
    truth = np.eye(3)[LABELS]
    assert brier_score(LABELS, truth) == 0
    assert brier_score(LABELS, np.roll(truth, 1, axis=1)) == 2


def test_probabilities_that_were_sharpened_are_worse_calibrated_than_their_own():
    rng = np.random.default_rng(0)
    true = rng.dirichlet(np.ones(5), 4000)
    labels = np.array([rng.choice(5, p=row) for row in true])
    sharp = true**3 / (true**3).sum(axis=1, keepdims=True)
    assert expected_calibration_error(labels, true) < 0.03
    assert expected_calibration_error(labels, sharp) > 0.2
    assert classwise_calibration_error(labels, true) < 0.03 < classwise_calibration_error(labels, sharp)
    assert brier_score(labels, true) < brier_score(labels, sharp)


def test_chance_alone_gives_the_error_that_the_binomial_distribution_has():
    n, p = 10, 0.8
    same = np.tile([p, 1 - p], (n, 1))
    exact = sum(comb(n, k) * p**k * (1 - p) ** (n - k) * abs(k / n - p) for k in range(n + 1))
    assert simulated_calibration_error(same, 0, simulations=20000) == pytest.approx(exact, rel=0.02)
    # Two bins of 10 photographs each, each off by as much.
    two = np.concatenate([same, np.tile([0.6, 0.4], (n, 1))])
    other = sum(comb(n, k) * 0.6**k * 0.4 ** (n - k) * abs(k / n - 0.6) for k in range(n + 1))
    assert simulated_calibration_error(two, 0, simulations=20000) == pytest.approx((exact + other) / 2, rel=0.02)


def test_the_simulation_is_the_mean_of_what_drawn_labels_show():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(4), 300)
    drawn = [
        expected_calibration_error(np.array([rng.choice(4, p=row) for row in probabilities]), probabilities)
        for _ in range(100)
    ]
    assert simulated_calibration_error(probabilities, 0) == pytest.approx(np.mean(drawn), rel=0.05)
    assert simulated_calibration_error(probabilities, 0) == simulated_calibration_error(probabilities, 0)
    assert simulated_calibration_error(probabilities, 0) != simulated_calibration_error(probabilities, 1)


def test_certain_probabilities_leave_nothing_to_chance():
    assert simulated_calibration_error(np.eye(3, dtype=np.float32)[LABELS], 0) == 0
