"""The explanation in words: every sentence by what the numbers say, and never anything else."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dermedge_runtime import Prediction
from dermedge_runtime.explanation import Explanation, name_imputed
from dermedge_runtime.explanation_words import percent, sentences

NAMES = {"mel": "melanoma", "nv": "melanocytic nevus", "bkl": "benign keratosis"}
PROBABILITIES = {"bkl": 0.052, "mel": 0.728, "nv": 0.22}
MOVED = {"age": 0.8, "sex=female": 0.0, "sex=male": 0.04, "site=back": -0.3, "site=face": 0.0}
GIVEN: dict[str, float | str] = {"age": 55.0, "sex": "male", "site": "back"}


def grid(*hot: tuple[int, int]) -> np.ndarray:
    """Cells of 10 x 10 that are hot."""
    cells = np.zeros((10, 10), np.float32)
    for place in hot or [(5, 5)]:
        cells[place] = 1
    return cells


BLOCK = grid(*((row, column) for row in range(3, 8) for column in range(1, 8)))
"""35 of 100 cells, of which half is 17.5."""


def answer(heat: np.ndarray | None, moved: dict[str, float] | None, target: str = "mel", **more: Any) -> Prediction:
    more = {"given": GIVEN, "class_names": NAMES, **more}
    explanation = Explanation(target, heat, moved, moved, more.get("imputed", {}))
    return Prediction("mel", PROBABILITIES, "a.jpg", "m.onnx", "cpu", "CPU", "1", "a CPU", explanation, **more)


def test_the_whole_text() -> None:
    assert answer(grid(), MOVED, prediction_set=("mel", "nv", "bkl")).explanation_text == (
        "In the picture a compact area away from the rim spoke for melanoma (73 %): half of the heat map lies in 0.5 %"
        " of the frame. Age 55 (+0.8) raised its score; site back (-0.3) lowered it; sex male (+0.04) hardly changed"
        " it. Melanocytic nevus (22 %) and benign keratosis (5.2 %) cannot be ruled out either."
    )


@pytest.mark.parametrize(
    ("heat", "words"),
    [
        (np.zeros((6, 6), np.float32), "Nothing in the picture spoke for melanoma (73 %)."),
        (np.ones((6, 6), np.float32), "In the picture a wide area that reaches the rim spoke for melanoma"),
        (grid((0, 0)), "In the picture a compact area at the rim spoke for"),
        (grid(*((5, n) for n in range(1, 9)), (0, 0)), "In the picture a compact area spoke for"),
        (BLOCK, "In the picture an area of middling size away from"),
        (np.maximum(BLOCK, grid((0, 0))), "In the picture an area of middling size away from"),
    ],
)
def test_the_heat_map_is_told_by_size_and_place(heat: np.ndarray, words: str) -> None:
    assert sentences(answer(heat, None))[0].startswith(words)


@pytest.mark.parametrize(
    ("moved", "words"),
    [
        ({"age": 0.2, "site=back": 1.26}, "Site back (+1.3) and age 55 (+0.2) raised its score."),
        ({"age": -0.2, "site=back": -0.1}, "Age 55 (-0.2) and site back (-0.1) lowered its score."),
        ({"age": -0.001, "site=back": 0.099}, "Site back (+0.10) and age 55 (+0.00) hardly changed its score."),
        ({"site=back": 0.4, "site=face": -0.6}, "Site back (-0.2) lowered its score."),
    ],
)
def test_each_field_is_told_by_its_side_the_strongest_first(moved: dict[str, float], words: str) -> None:
    assert sentences(answer(grid(), moved))[1] == words


def test_what_is_unknown_is_told_as_such() -> None:
    moved = {"age": 0.3, "age=unknown": 0.2, "sex=male": 0.0, "sex=unknown": -0.3}
    result = answer(grid(), moved, given={}, unknown=("age", "sex"))
    assert sentences(result)[1] == "Age unknown (+0.5) raised its score; sex unknown (-0.3) lowered it."


def test_what_an_unknown_value_was_counted_as_is_told() -> None:
    imputed = {"age": 52.5, "sex": "male", "site": None}
    moved = name_imputed({"age": 0.3, "sex=male": 0.2, "site=back": -0.4}, imputed)
    result = answer(grid(), moved, given={}, unknown=tuple(imputed), imputed=imputed)
    assert sentences(result)[1] == (
        "Age unknown, counted as 52.5 (+0.3) and sex unknown, counted as male (+0.2) raised its score;"
        " site unknown, counted as a value of its training data (-0.4) lowered it."
    )


@pytest.mark.parametrize(
    ("target", "own", "words"),
    [
        ("mel", None, "Next comes melanocytic nevus (22 %)."),
        ("nv", None, "The most probable diagnosis is melanoma (73 %)."),
        ("mel", ("mel",), "No other diagnosis is in the prediction set."),
        ("mel", ("mel", "nv"), "Melanocytic nevus (22 %) cannot be ruled out either."),
        ("nv", ("mel", "nv"), "Melanoma (73 %) cannot be ruled out either."),
        ("bkl", ("mel",), "It is not in the prediction set, which holds melanoma (73 %)."),
    ],
)
def test_what_else_is_possible(target: str, own: tuple[str, ...] | None, words: str) -> None:
    assert sentences(answer(grid(), MOVED, target, prediction_set=own))[-1] == words


def test_a_model_of_clinical_values_alone_names_the_class_with_its_score() -> None:
    first, second = sentences(answer(None, {"age": 0.8, "site=back": -0.3}))
    assert first == "Age 55 (+0.8) raised the score of melanoma (73 %); site back (-0.3) lowered it."
    assert second.startswith("Next comes")


def test_classes_without_names_have_their_codes() -> None:
    assert "spoke for mel (73 %)" in sentences(answer(grid(), None, class_names={}))[0]


def test_without_explanations_there_are_no_words() -> None:
    result = replace(answer(grid(), MOVED), explanation=None)
    assert result.explanation_text is None
    assert "explanation_text" not in result.to_record(explain=True)


def test_the_record_has_the_words_where_it_explains() -> None:
    result = answer(grid(), MOVED)
    record = json.loads(json.dumps(result.to_record(explain=True)))
    assert record["explanation_text"] == result.explanation_text
    assert "explanation_text" not in result.to_record()


@pytest.mark.parametrize(("share", "text"), [(0.9996, "100 %"), (0.1, "10 %"), (0.0996, "10.0 %"), (0.0, "0.0 %")])
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text
