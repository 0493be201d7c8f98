"""Patients' values in every type that tables give, in step with the pictures."""

import csv
import io
import itertools
import math
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from make_tiny_model import SIZE, TINY, tiny_spec

from dermedge_runtime import Classifier, InputRejected, Prediction, Rejection, UsageError
from dermedge_runtime.inputs.patients import read_patient

SCHEMA = tiny_spec().clinical
PIXELS = np.full((SIZE, SIZE, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def model() -> Classifier:
    return Classifier(TINY, "cpu")


class NAType:
    """As pandas' NA: whatever it is compared with, the result has no truth."""

    def __ne__(self, other: object) -> Any:
        return self

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "<NA>"

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


@pytest.mark.parametrize(
    "value",
    [55, 55.0, "55", " 55 ", "\uff15\uff15", np.int64(55), np.float32(55), np.str_("55"), Decimal("55"), np.array(55)],
)
def test_numbers_of_every_type(value: Any) -> None:
    assert read_patient(SCHEMA, {"age": value}).given == {"age": 55.0}


@pytest.mark.parametrize(
    "value",
    [True, False, np.True_, "5_5", [55], np.array([55, 56]), 55j, b"55", np.timedelta64(55, "D"), "55 years", "1e999"],
)
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(InputRejected, match=r"^age must be a number from 0 to 120 years, got "):
        read_patient(SCHEMA, {"age": value})


@pytest.mark.parametrize(
    "value",
    [None, math.nan, np.float32("nan"), np.datetime64("NaT"), NAType(), Decimal("nan"), Decimal("snan"), "unknown", ""],
    ids=repr,
)
@pytest.mark.parametrize("name", ["age", "sex"])
def test_missing_values_are_unknown(name: str, value: Any) -> None:
    patient = read_patient(SCHEMA, {name: value})
    assert (patient.given, patient.unknown) == ({}, ("age", "sex", "site"))
    assert np.isnan(patient.numeric).all()
    assert (patient.categorical == -1).all()


@pytest.mark.parametrize(
    "word",
    ["lower extremity", "LOWER_EXTREMITY", " lower  extremity\t", "lower\u00a0extremity", "\uff4c\uff4fwer extremity"],
)
def test_words_however_they_were_typed(word: str) -> None:
    assert read_patient(SCHEMA, {"site": word, "age": 3}).given == {"age": 3.0, "site": "lower extremity"}
    assert read_patient(SCHEMA, {"site": word}).unknown == ("age", "sex")


def database_rows() -> list[sqlite3.Row]:
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    return connection.execute("select 30 as age, 'face' as site union all select 70, 'back'").fetchall()


@pytest.mark.parametrize(
    "clinical",
    [
        [{"age": 30, "site": "face"}, {"age": 70, "site": "back"}],
        iter([{"age": 30, "site": "face"}, {"age": 70, "site": "back"}]),
        csv.DictReader(io.StringIO("age,site\n30,face\n70,back\n")),
        database_rows(),
    ],
    ids=["list", "iterator", "csv", "sqlite3"],
)
def test_one_set_of_values_per_picture(model: Classifier, clinical: Any) -> None:
    found = model.predict_many([PIXELS, PIXELS], clinical)
    given = [result.given for result in found if isinstance(result, Prediction)]
    assert given == [{"age": 30.0, "site": "face"}, {"age": 70.0, "site": "back"}]


def test_both_may_be_endless(model: Classifier) -> None:
    def ages() -> Iterator[dict[str, int]]:
        age = 0
        while True:
            yield {"age": age}
            age += 1

    answers = model.predict_each(itertools.repeat(PIXELS), ages(), batch_size=2)
    for age in range(5):
        answer = next(answers)
        assert isinstance(answer, Prediction)
        assert answer.given == {"age": age}


def test_a_wrong_value_for_one_is_a_rejection_and_for_all_an_error(model: Classifier) -> None:
    first, second = model.predict_many([PIXELS, PIXELS], [{"age": 300}, {"age": 30}])
    assert isinstance(first, Rejection)
    assert isinstance(second, Prediction)
    with pytest.raises(InputRejected, match="got 300"):
        model.predict_each([PIXELS, PIXELS], {"age": 300})


@pytest.mark.parametrize(
    ("clinical", "message"),
    [
        (55, "clinical must be a mapping such as {'age': 55}, or one for each picture, got int."),
        ("age", "got str."),
        ([55, 60], "The clinical values of picture 1 must be a mapping such as {'age': 55}, got int."),
        ([{}, ("age", 5)], "The clinical values of picture 2 must be a mapping"),
        (["age", "sex"], "of picture 1 must be a mapping such as {'age': 55}, got str."),
        (np.zeros((2, 3)), "got ndarray."),
    ],
)
def test_values_that_are_no_mappings(model: Classifier, clinical: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        model.predict_each([PIXELS, PIXELS], clinical)
    assert message in str(caught.value)


def test_none_in_a_list_is_a_patient_of_whom_nothing_is_known(model: Classifier) -> None:
    first, _ = model.predict_many([PIXELS, PIXELS], [None, {"age": 4}])
    assert first == model.predict(PIXELS)


@pytest.mark.parametrize("given", [1, 3])
def test_other_numbers_of_values_are_found_at_once_where_both_have_a_length(model: Classifier, given: int) -> None:
    with pytest.raises(InputRejected, match=f"^2 images came with {given} sets of clinical values"):
        model.predict_each([PIXELS, PIXELS], [{}] * given)


@pytest.mark.parametrize(
    ("given", "message", "answers"),
    [(1, "The clinical values end after 1 of the pictures", 1), (3, "more sets of clinical values than the 2", 2)],
)
@pytest.mark.parametrize("batch_size", [1, 8])
def test_and_else_after_the_answers_before(
    model: Classifier, given: int, message: str, answers: int, batch_size: int
) -> None:
    found = []
    with pytest.raises(InputRejected, match=message):
        for answer in model.predict_each(iter([PIXELS] * 2), iter([{}] * given), batch_size=batch_size):
            found.append(answer)
    assert len(found) == answers
