"""Thresholds of a decision rule, and what is said where they cannot be had."""

import numpy as np
import pytest

from dermedge_export.decision.asked import Asked
from dermedge_export.decision.thresholds import Answers, fit_rule
from dermedge_runtime.errors import UsageError

CLASSES = ("mel", "bcc", "nv", "df")


def answers(**counts: int) -> Answers:
    """Random answers that know something, a picture a lesion."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), [counts.get(code, 0) for code in CLASSES])
    probabilities = rng.dirichlet(np.ones(4), len(labels)) * 0.6 + 0.4 * np.eye(4)[labels]
    return Answers(probabilities, labels, np.array([str(index) for index in range(len(labels))]))


def test_what_was_asked_is_reached_on_validation():
    given = answers(mel=60, bcc=40, nv=200, df=30)
    rule = fit_rule(given, CLASSES, ("mel", "bcc"), "mel", Asked(0.95, 0.9)).rule
    urgent = given.labels < 2
    summed = given.probabilities[:, :2].sum(axis=1)
    own = given.probabilities[:, 0] >= rule.melanoma_threshold
    assert 0.95 <= np.mean(own[given.labels == 0]) <= 0.99
    assert 0.95 <= np.mean(summed[urgent] >= rule.urgent_threshold) <= 0.97
    for index, code in enumerate(CLASSES):
        covered = np.mean(given.probabilities[given.labels == index, index] >= rule.set_thresholds[code])
        assert 0.9 <= covered <= 0.94
    assert (rule.sensitivity, rule.coverage, rule.marginal) == (0.95, 0.9, ())


def test_a_rare_class_takes_the_threshold_of_all_and_says_so():
    found = fit_rule(answers(mel=60, bcc=40, nv=200, df=5), CLASSES, ("mel",), "mel", Asked(0.95, 0.9))
    assert found.rule.marginal == ("df",)
    assert "df (5)" in found.notes[0] and "which takes 9" in found.notes[0]


def test_a_sensitivity_out_of_reach_says_what_can_be_asked_for():
    with pytest.raises(UsageError, match=r"takes 19 urgent validation lesions or more, there are 9. At most 0.9 can"):
        fit_rule(answers(mel=4, bcc=5, nv=50), CLASSES, ("mel", "bcc"), "mel", Asked(0.95, 0.9))
    assert fit_rule(answers(mel=4, bcc=5, nv=50), CLASSES, ("mel", "bcc"), "mel", Asked(0.9, 0.8)).rule.urgent


def test_melanoma_without_lesions_enough_has_no_threshold_of_its_own():
    found = fit_rule(answers(mel=4, bcc=30, nv=50), CLASSES, ("mel", "bcc"), "mel", Asked(0.95, 0.9))
    assert found.rule.melanoma is None
    assert any("mel has no threshold of its own: 4 validation lesions, 19 are needed" in note for note in found.notes)


def test_without_urgent_classes_there_are_sets_alone():
    found = fit_rule(answers(mel=60, bcc=40, nv=200, df=30), CLASSES, (), "mel", Asked(0.95, 0.9))
    found.rule.check(CLASSES)
    assert found.rule.urgent == () and "names no urgent classes" in found.notes[-1]


@pytest.mark.parametrize("wrong", [0, 1, 1.5, float("nan"), True, "0.9"])
def test_a_share_that_is_none_is_refused(wrong):
    with pytest.raises(UsageError, match="sensitivity must be a share between 0 and 1"):
        Asked(sensitivity=wrong)
    with pytest.raises(UsageError, match="coverage must be a share between 0 and 1"):
        Asked(coverage=wrong)
