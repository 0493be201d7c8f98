"""Thresholds keep their promise: a new photograph passes as often as was asked for, and too few lesions give none."""

import numpy as np
import pytest

from dermedge.statistics.conformal import lesions_needed, passing_threshold


def names(count: int) -> np.ndarray:
    return np.array([f"lesion {index}" for index in range(count)])


@pytest.mark.parametrize(("share", "needed"), [(0.9, 9), (0.95, 19), (0.5, 1), (0.99, 99)])
def test_as_many_lesions_are_needed_as_the_promise_takes(share, needed):
    assert lesions_needed(share) == needed
    scores = np.linspace(0, 1, needed)
    assert passing_threshold(scores, names(needed), share) == 0.0
    assert passing_threshold(scores[1:], names(needed - 1), share) is None


@pytest.mark.parametrize("lesions", [19, 40, 57])
def test_a_new_photograph_passes_with_the_promised_probability(lesions):
    rng, passed = np.random.default_rng(0), []
    for _ in range(4000):
        drawn = rng.random(lesions + 1)
        passed.append(drawn[-1] >= passing_threshold(drawn[:-1], names(lesions), 0.9))
    # Exactly ceil(0.9 (n + 1)) / (n + 1) of them; 4,000 draws are off by 0.005 (one standard deviation).
    expected = np.ceil(0.9 * (lesions + 1) - 1e-9) / (lesions + 1)
    assert np.mean(passed) == pytest.approx(expected, abs=0.02)
    assert np.mean(passed) >= 0.9 - 0.015


def test_photographs_of_few_lesions_are_few_however_many_they_are():
    scores = np.linspace(0, 1, 60)
    assert passing_threshold(scores, np.array([f"lesion {index % 8}" for index in range(60)]), 0.9) is None
    assert passing_threshold(scores, np.array([f"lesion {index % 9}" for index in range(60)]), 0.9) == scores[5]


@pytest.mark.parametrize("share", [1e-300, 1e-12, 1e-9, 1e-3])
def test_a_share_of_next_to_nothing_takes_a_lesion_all_the_same(share):
    assert lesions_needed(share) == 1
    assert passing_threshold(np.array([]), names(0), share) is None
    assert passing_threshold(np.array([0.2, 0.7, 0.4]), names(3), share) == 0.7
