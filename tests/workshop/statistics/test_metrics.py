import json
import math

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
)

from dermedge.statistics.metrics import balanced_accuracy, score

CLASSES = ("a", "b", "c")
# By hand, rows are the truth:   a b c
MATRIX = [[3, 1, 0], [2, 2, 1], [0, 0, 1]]


def from_matrix(matrix) -> tuple[np.ndarray, np.ndarray]:
    """Labels and certain probabilities that give this confusion matrix."""
    pairs = [(t, p) for t, row in enumerate(matrix) for p, count in enumerate(row) for _ in range(count)]
    labels, predicted = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    return labels, np.eye(len(matrix))[predicted]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_figure_equals_scikit_learns(seed):
    rng = np.random.default_rng(seed)
    codes = tuple("abcdefg")
    labels = rng.choice(7, 200, p=[0.02, 0.05, 0.1, 0.03, 0.2, 0.5, 0.1])
    probabilities = rng.dirichlet(np.ones(7), 200) + 0.3 * np.eye(7)[labels]
    predicted = probabilities.argmax(axis=1)
    result = score(labels, probabilities, codes)
    assert result["accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert result["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert result["confusion_matrix"] == confusion_matrix(labels, predicted, labels=range(7)).tolist()
    each = precision_recall_fscore_support(labels, predicted, labels=range(7), zero_division=0)
    mean = precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0)
    for position, name in enumerate(("precision", "recall", "f1")):
        assert [result["per_class"][c][name] for c in codes] == pytest.approx(list(each[position]))
        assert result["macro"][name] == pytest.approx(mean[position])
    areas = [roc_auc_score(labels == index, probabilities[:, index]) for index in range(7)]
    assert [result["per_class"][c]["auc"] for c in codes] == pytest.approx(areas)
    assert result["macro"]["auc"] == pytest.approx(np.mean(areas))
    under = [average_precision_score(labels == index, probabilities[:, index]) for index in range(7)]
    assert [result["per_class"][c]["average_precision"] for c in codes] == pytest.approx(under)
    assert [result["per_class"][c]["images"] for c in codes] == list(each[3])


def test_a_matrix_made_by_hand_gives_the_figures_computed_by_hand():
    result = score(*from_matrix(MATRIX), CLASSES)
    assert (result["images"], result["accuracy"]) == (10, 0.6)
    assert result["balanced_accuracy"] == pytest.approx((3 / 4 + 2 / 5 + 1) / 3)
    assert result["confusion_matrix"] == MATRIX and result["classes"] == list(CLASSES)
    expected = {
        "a": {"images": 4, "precision": 3 / 5, "recall": 3 / 4, "f1": 6 / 9, "specificity": 4 / 6},
        "b": {"images": 5, "precision": 2 / 3, "recall": 2 / 5, "f1": 4 / 8, "specificity": 4 / 5},
        "c": {"images": 1, "precision": 1 / 2, "recall": 1.0, "f1": 2 / 3, "specificity": 8 / 9},
    }
    for code, figures in expected.items():
        found = result["per_class"][code]
        assert {name: found[name] for name in figures} == pytest.approx(figures), code
    # With certain probabilities the ROC curve has one corner: its area is (sensitivity + specificity) / 2.
    assert result["per_class"]["a"]["auc"] == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert result["macro"]["specificity"] == pytest.approx((4 / 6 + 4 / 5 + 8 / 9) / 3)


def test_a_perfect_classifier_has_ones_everywhere():
    result = score(*from_matrix([[2, 0, 0], [0, 3, 0], [0, 0, 4]]), CLASSES)
    assert {result["accuracy"], result["balanced_accuracy"], *result["macro"].values()} == {1.0}


def test_an_absent_class_gives_none_and_is_left_out_of_the_means():
    labels, probabilities = from_matrix([[3, 1, 0], [1, 1, 0], [0, 0, 0]])
    result = score(labels, probabilities, CLASSES)
    absent = result["per_class"]["c"]
    assert absent.pop("images") == 0 and absent.pop("specificity") == 1.0
    assert len(absent) == 7 and set(absent.values()) == {None}
    assert result["balanced_accuracy"] == result["macro"]["recall"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert result["macro"]["precision"] == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert len(result["confusion_matrix"]) == 3


def test_a_class_that_is_present_but_never_predicted_counts_as_zero():
    result = score(*from_matrix([[3, 0, 0], [2, 0, 0], [0, 0, 1]]), CLASSES)
    missed = result["per_class"]["b"]
    assert (missed["precision"], missed["recall"], missed["f1"]) == (0.0, 0.0, 0.0)
    assert result["macro"]["precision"] == pytest.approx((3 / 5 + 0 + 1) / 3)


def test_one_class_alone_has_no_specificity_and_no_area():
    result = score(*from_matrix([[3, 1], [0, 0]]), ("a", "b"))
    assert (result["per_class"]["a"]["specificity"], result["per_class"]["a"]["auc"]) == (None, None)
    assert result["macro"]["auc"] is None


def test_the_result_is_json():
    result = score(*from_matrix([[3, 1, 0], [1, 1, 0], [0, 0, 0]]), CLASSES)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


@pytest.mark.filterwarnings("error")
def test_one_photograph_gives_whole_counts_and_no_warning():
    result = score(np.array([1]), np.eye(3)[[2]], CLASSES)
    assert json.dumps([row["images"] for row in result["per_class"].values()]) == "[0, 1, 0]"
    assert result["per_class"]["b"]["recall"] == result["per_class"]["b"]["precision"] == 0.0
    assert result["per_class"]["c"]["precision"] == 0.0 and result["per_class"]["c"]["f1"] is None
    assert balanced_accuracy(np.array([1]), np.array([2])) == 0.0


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_present():
    labels, predicted = np.array([0, 0, 0, 0, 5, 5]), np.array([0, 0, 0, 1, 5, 6])
    assert balanced_accuracy(labels, predicted) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert math.isclose(balanced_accuracy(labels, labels), 1)


def test_an_operating_point_is_the_recall_at_a_specificity_that_is_kept():
    # Ten others, whose probabilities of class a are 0.05 to 0.95; four of the class, above 10, 9, 8 and 0 of them.
    others, own = np.arange(10) / 10 + 0.05, np.array([0.99, 0.9, 0.8, 0.01])
    probability = np.concatenate([others, own])
    labels = np.repeat([1, 0], [10, 4])
    row = score(labels, np.stack([probability, 1 - probability], axis=1), ("a", "b"))["per_class"]["a"]
    assert row["recall_at_95_specificity"] == 1 / 4, "no other may be named"
    assert row["recall_at_90_specificity"] == 2 / 4, "one of ten may"
