"""Which patients belong to which group."""

from pathlib import Path

import pytest

from dermedge.data.samples import Sample
from dermedge.statistics.patient_groups import patient_groups
from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalSchema, NumericField


def _sample(**clinical: float | str) -> Sample:
    return Sample("image", "lesion", Path("image.jpg"), 0, clinical)


SCHEMA = ClinicalSchema(
    numeric=(NumericField("age", "years", 0, 120), NumericField("diameter", "mm", 0, 100)),
    categorical=(CategoricalField("sex", ("female", "male")),),
)
SAMPLES = [
    _sample(age=20.0, sex="male", diameter=1.0),
    _sample(age=39.9, diameter=2.0),
    _sample(sex="Female", diameter=9.0),
]


@pytest.fixture
def groups() -> dict:
    return patient_groups(SAMPLES, SCHEMA)


def test_years_fall_into_bands_of_twenty(groups) -> None:
    assert list(groups["age"]) == [
        *("0 to below 20", "20 to below 40", "40 to below 60", "60 to below 80", "80 to below 100", "100 and above"),
        "unknown",
    ]
    assert groups["age"]["20 to below 40"].tolist() == [True, True, False]
    assert groups["age"]["unknown"].tolist() == [False, False, True]


def test_words_and_unknown_are_groups(groups) -> None:
    assert {name: chosen.tolist() for name, chosen in groups["sex"].items()} == {
        "female": [False, False, True],
        "male": [True, False, False],
        "unknown": [False, True, False],
    }


def test_other_numbers_fall_into_thirds(groups) -> None:
    chosen = list(groups["diameter"].values())
    assert [group.sum() for group in chosen] == [1, 1, 1, 0]


@pytest.mark.parametrize("field", ["age", "sex", "diameter"])
def test_everybody_belongs_to_one_group_of_each_field(groups, field: str) -> None:
    assert (sum(chosen.astype(int) for chosen in groups[field].values()) == 1).all()
