"""Figures of decisions and prediction sets, and their intervals by lesion."""

import numpy as np
import pytest

from dermedge.statistics.decisions import Decided, decision_figures, set_figures
from dermedge.statistics.shares import share_interval

CLASSES = ("mel", "bcc", "nv")
LABELS = np.array([0, 0, 0, 1, 2, 2, 2, 2])
DECISIONS = np.array(["refer", "refer", "routine", "refer", "refer", "routine", "routine", "unsure"])
LESIONS = np.array(list("abcdefgh"))
SETS = np.array([[1, 0, 0], [1, 0, 1], [0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1], [1, 0, 1]], dtype=bool)
FOUND = Decided(LABELS, LESIONS, SETS, DECISIONS, CLASSES)


def test_the_shares_are_those_of_the_definitions():
    figures = decision_figures(FOUND, ("mel", "bcc"), "mel")
    values = {name: each["value"] for name, each in figures.items() if name != "by_class"}
    assert values == {
        "sensitivity": pytest.approx(3 / 4),
        "specificity": pytest.approx(3 / 4),
        "ppv": pytest.approx(3 / 4),
        "npv": pytest.approx(3 / 4),
        "refer": pytest.approx(4 / 8),
        "unsure": pytest.approx(1 / 8),
        "routine": pytest.approx(3 / 8),
        "urgent_among_routine": pytest.approx(1 / 3),
        "melanomas_referred": pytest.approx(2 / 3),
        "melanomas_among_routine": pytest.approx(1 / 3),
    }
    assert figures["by_class"]["nv"] == {"refer": 0.25, "unsure": 0.25, "routine": 0.5}


def test_sets_are_measured_by_class():
    figures = set_figures(FOUND)
    assert figures["coverage"]["value"] == pytest.approx(6 / 8)
    assert figures["by_class"]["mel"]["value"] == pytest.approx(2 / 3)
    assert figures["by_class"]["bcc"]["value"] == 1.0
    assert figures["size"] == pytest.approx(10 / 8)


def test_an_absent_class_has_no_figures():
    found = Decided(np.zeros(2, dtype=int), LESIONS[:2], SETS[:2], DECISIONS[:2], CLASSES)
    assert set_figures(found)["by_class"]["bcc"] is None
    figures = decision_figures(found, ("mel", "bcc"), "mel")
    assert figures["specificity"] is None and figures["by_class"]["nv"]["refer"] is None


def test_without_decisions_there_are_no_figures_of_them():
    assert decision_figures(Decided(LABELS, LESIONS, SETS, None, CLASSES), (), None) is None


@pytest.mark.parametrize(("hit", "low", "high"), [(True, 0.8389, 1.0), (False, 0.0, 0.1611)])
def test_all_or_none_have_wilsons_interval(hit, low, high):
    lesions = np.array([str(index) for index in range(20)])
    found = share_interval(np.full(20, hit), np.ones(20, dtype=bool), lesions)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_the_interval_is_by_lesion():
    hits, everything = np.arange(100) % 2 == 0, np.ones(100, dtype=bool)
    one_by_one = share_interval(hits, everything, np.array([str(index) for index in range(100)]))
    few = share_interval(
        hits, everything, np.where(hits, "good ", "bad ").astype(object) + np.array(list("abcde") * 20)
    )
    assert one_by_one.value == few.value == 0.5
    assert few.high - few.low > 2 * (one_by_one.high - one_by_one.low)
