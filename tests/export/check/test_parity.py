"""The gate's arithmetic, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from dermedge_export.check.parity import DEFAULT_LIMITS, Limits, limits_from_percent, median_correlation, parity_of

CLASSES = ("akiec", "mel", "nv")
LABELS = np.array([0, 1, 1, 2], dtype=np.int64)


def _rows(*winners: int, top: float = 0.8) -> np.ndarray:
    rows = np.full((len(winners), 3), (1 - top) / 2, dtype=np.float32)
    rows[np.arange(len(winners)), winners] = top
    return rows


def _compare(reference: np.ndarray, candidate: np.ndarray):
    settings = {"split": "validation", "provider": "CPUExecutionProvider"}
    return parity_of(reference, candidate, LABELS, CLASSES, melanoma="mel", **settings)


def test_equal_outputs_agree_wholly() -> None:
    parity = _compare(_rows(0, 1, 2, 2), _rows(0, 1, 2, 2))
    assert (parity.agreement, parity.largest_probability_change) == (1.0, 0.0)
    assert parity.violations(Limits(1.0, 0.0)) == []


def test_one_lost_melanoma_is_counted_everywhere() -> None:
    parity = _compare(_rows(0, 1, 1, 2), _rows(0, 1, 2, 2))
    assert parity.agreement == 0.75
    assert (parity.melanoma_recall_reference, parity.melanoma_recall) == (1.0, 0.5)
    assert parity.balanced_accuracy_reference - parity.balanced_accuracy == pytest.approx(0.5 / 3)
    assert parity.largest_probability_change == pytest.approx(0.7)
    assert parity.images == 4


def test_violations_say_by_how_much() -> None:
    parity = _compare(_rows(0, 1, 1, 2), _rows(0, 1, 2, 2))
    assert parity.violations(DEFAULT_LIMITS["int8"]) == ["class agreement is 75.00%, the limit is 97.00%"]
    parity = _compare(_rows(0, 1, 1, 2), _rows(0, 2, 2, 2))
    assert parity.violations(Limits(0.0, 0.003)) == [
        "balanced accuracy falls by 33.33 points, the limit is 0.30 or one picture, 16.67",
        "melanoma recall falls by 100.00 points, the limit is 0.30 or one picture, 50.00",
    ]


def test_one_picture_is_no_violation_and_is_counted_by_the_class_that_lost_it() -> None:
    labels = np.array([0] * 2 + [1] * 4 + [2] * 100, dtype=np.int64)
    settings = {"melanoma": "mel", "split": "validation", "provider": "CPUExecutionProvider"}

    def lost(*indices: int) -> list[str]:
        found = labels.copy()
        found[list(indices)] = 1 if 0 in indices or 6 in indices else 2
        return parity_of(_rows(*labels), _rows(*found), labels, CLASSES, **settings).violations(Limits(0, 0.003))

    assert lost(0) == []  # of two: 16.67 points of balanced accuracy
    assert lost(2) == []  # of four: 8.33 points
    assert lost(2, 3) == [
        "balanced accuracy falls by 16.67 points, the limit is 0.30 or one picture, 8.33",
        "melanoma recall falls by 50.00 points, the limit is 0.30 or one picture, 25.00",
    ]
    # Of a hundred a picture is worth a third of a point: the class of two, which lost none, excuses nothing.
    assert lost(6) == []
    assert lost(6, 7) == ["balanced accuracy falls by 0.67 points, the limit is 0.30 or one picture, 0.33"]


def test_the_loss_of_melanomas_has_the_limit_of_balanced_accuracy_or_its_own() -> None:
    labels = np.array([1] * 200 + [0, 2], dtype=np.int64)
    found = labels.copy()
    found[:3] = 2
    settings = {"melanoma": "mel", "split": "validation", "provider": "CPUExecutionProvider"}
    parity = parity_of(_rows(*labels), _rows(*found), labels, CLASSES, **settings)
    assert parity.violations(Limits(0, 0.02)) == []
    expected = ["melanoma recall falls by 1.50 points, the limit is 1.00"]
    assert parity.violations(Limits(0, 0.01)) == expected
    assert parity.violations(Limits(0, 0.02, melanoma_recall_drop=0.01)) == expected
    assert parity.violations(Limits(0, 0.01, melanoma_recall_drop=0.015)) == []


def test_a_better_candidate_is_no_violation_of_the_drop() -> None:
    parity = _compare(_rows(0, 1, 2, 2), _rows(0, 1, 1, 2))
    assert len(parity.violations(Limits(0.5, 0.0))) == 0


def test_default_limits() -> None:
    assert DEFAULT_LIMITS["fp16"].agreement == 0.995
    assert DEFAULT_LIMITS["int8"] == Limits(0.97, 0.003, 0.95)


def test_given_limits_replace_only_themselves() -> None:
    assert limits_from_percent("int8", 98.0, None) == Limits(0.98, 0.003, 0.95)
    assert limits_from_percent("int8", None, 2.0) == Limits(0.97, 0.02, 0.95)


def test_heat_maps_are_correlated_one_by_one() -> None:
    ramp = np.arange(4, dtype=np.float32).reshape(2, 2)
    flat = np.ones((2, 2), dtype=np.float32)
    assert median_correlation(np.stack([ramp] * 3), np.stack([ramp, 2 * ramp + 1, -ramp])) == pytest.approx(1)
    assert median_correlation(np.stack([ramp, flat]), np.stack([-ramp, flat])) == pytest.approx(-1)
    assert median_correlation(flat[None], flat[None]) is None


def test_a_blank_heat_map_where_there_was_one_counts_as_none() -> None:
    ramp = np.arange(4, dtype=np.float32).reshape(2, 2)
    blank = np.zeros((2, 2), dtype=np.float32)
    assert median_correlation(np.stack([ramp] * 3), np.stack([ramp, blank, blank])) == 0


def test_heat_maps_that_point_elsewhere_are_a_violation() -> None:
    parity = replace(_compare(_rows(0, 1, 2, 2), _rows(0, 1, 2, 2)), heatmap_correlation=0.5)
    assert parity.violations(DEFAULT_LIMITS["int8"]) == [
        "the heat maps' median correlation is 0.50000, the limit is 0.95000"
    ]


def test_without_a_melanoma_class_its_recall_is_not_compared_and_that_is_said() -> None:
    rows = _rows(0, 1, 1, 2)
    parity = parity_of(rows, rows, LABELS, ("a", "b", "c"), melanoma=None, split="test", provider="p")
    assert (parity.melanoma_recall, parity.melanoma_recall_reference) == (None, None)
    assert "melanoma recall not compared (the schema names no melanoma class)" in parity.summary()
    assert "not compared" not in _compare(rows, rows).summary()
