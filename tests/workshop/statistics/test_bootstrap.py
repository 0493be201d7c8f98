"""The paired bootstrap against cases small enough to be enumerated by hand."""

import numpy as np
import pytest

from dermedge.statistics.bootstrap import PairedOutcome, paired_bootstrap
from dermedge.statistics.metrics import balanced_accuracy


def outcome(lesions: str, labels: list[int], predicted: list[int], baseline: list[int]) -> PairedOutcome:
    """One letter per photograph names its lesion."""
    arrays = (np.array(values, dtype=np.int64) for values in (labels, predicted, baseline))
    return PairedOutcome(np.array(list(lesions)), *arrays)


def test_two_lesions_give_the_three_samples_that_there_are():
    # Lesion a (two photographs): the model is right, the baseline wrong. Lesion b (one): the other way round.
    # Samples aa, ab or ba, bb with probabilities 1/4, 1/2, 1/4 differ by +1, (2 - 1) / 3, -1.
    case = outcome("aab", [0, 0, 0], [0, 0, 1], [1, 1, 0])
    found = paired_bootstrap([case], 2)["accuracy"]
    assert (found.value, found.low, found.high) == (pytest.approx(1 / 3), -1.0, 1.0)


def test_the_lesion_is_drawn_and_not_the_photograph():
    # By photographs the difference would range from -1 to 1; of one lesion there is one sample only.
    case = outcome("aaaa", [0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 0])
    found = paired_bootstrap([case], 2)["accuracy"]
    assert found.value == found.low == found.high == 0.5


def test_balanced_accuracy_counts_every_class_alike():
    case = outcome("abcd", [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1])
    found = paired_bootstrap([case], 2)
    assert found["accuracy"].value == pytest.approx(3 / 4 - 1 / 4)
    assert found["balanced_accuracy"].value == pytest.approx(0.0)


def test_the_difference_is_that_of_the_figures_themselves():
    rng = np.random.default_rng(3)
    labels, one, other = (rng.integers(0, 4, 60) for _ in range(3))
    lesions = np.array([f"lesion {number}" for number in rng.integers(0, 40, 60)])
    found = paired_bootstrap([PairedOutcome(lesions, labels, one, other)], 4, replicates=300)
    assert found["accuracy"].value == pytest.approx(np.mean(one == labels) - np.mean(other == labels))
    expected = balanced_accuracy(labels, one) - balanced_accuracy(labels, other)
    assert found["balanced_accuracy"].value == pytest.approx(expected)
    for interval in found.values():
        assert interval.low < interval.value < interval.high


def _mean_recall(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Balanced accuracy, without what scikit-learn checks at each of thousands of calls."""
    return float(np.mean([np.mean(predicted[labels == code] == code) for code in np.unique(labels)]))


def test_the_interval_is_the_percentiles_of_resampled_lesions():
    """Against a slow loop that resamples lists of photographs."""
    rng = np.random.default_rng(5)
    labels, one, other = (rng.integers(0, 3, 50) for _ in range(3))
    lesions = np.array([f"{number:02d}" for number in rng.integers(0, 30, 50)])
    names = np.unique(lesions)
    slow = []
    for _ in range(4000):
        picked = np.concatenate([np.flatnonzero(lesions == name) for name in rng.choice(names, len(names))])
        slow.append(_mean_recall(labels[picked], one[picked]) - _mean_recall(labels[picked], other[picked]))
    case = PairedOutcome(lesions, labels, one, other)
    found = paired_bootstrap([case], 3, replicates=4000)["balanced_accuracy"]
    assert [found.low, found.high] == pytest.approx(np.percentile(slow, [2.5, 97.5]), abs=0.02)


def test_several_test_sets_are_averaged_and_share_their_lesions():
    good, bad = outcome("ab", [0, 0], [0, 0], [1, 1]), outcome("ab", [0, 0], [1, 1], [0, 0])
    opposed = paired_bootstrap([good, bad], 2)["accuracy"]
    # Whatever lesions are drawn, the one set gains what the other loses.
    assert opposed.value == opposed.low == opposed.high == 0.0
    assert paired_bootstrap([good, good], 2)["accuracy"].value == 1.0


def test_a_test_set_without_any_drawn_lesion_is_left_out_of_its_replicate():
    one, other = outcome("a", [0], [0], [1]), outcome("b", [0], [1], [0])
    found = paired_bootstrap([one, other], 2)["accuracy"]
    assert (found.value, found.low, found.high) == (0.0, -1.0, 1.0)


def test_the_same_seed_gives_the_same_interval():
    rng = np.random.default_rng(0)
    labels, one, other = (rng.integers(0, 3, 80) for _ in range(3))
    case = PairedOutcome(np.array([str(number) for number in range(80)]), labels, one, other)
    assert paired_bootstrap([case], 3, replicates=250) == paired_bootstrap([case], 3, replicates=250)
