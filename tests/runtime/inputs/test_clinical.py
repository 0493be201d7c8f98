"""Clinical values become the model's two arrays, or a message that says what was expected."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dermedge_runtime import InputRejected
from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalSchema, ClinicalValue, NumericField

AGE = NumericField("age", "years", 0, 120)
SEX = CategoricalField("sex", ("female", "male"))
SITE = CategoricalField("site", ("back", "lower extremity", "upper_extremity", "scalp"))
SCHEMA = ClinicalSchema((AGE,), (SEX, SITE))

UNKNOWN = [None, math.nan, "", "  ", "unknown", "Unknown", " NaN ", "na", "NA", "none", "None"]


@pytest.mark.parametrize("value", UNKNOWN)
def test_unknown_words(value: ClinicalValue) -> None:
    assert math.isnan(AGE.parse(value))
    assert SITE.parse(value) == -1


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0.0), (120, 120.0), (55, 55.0), (55.5, 55.5), ("55", 55.0), (" 55.5 ", 55.5), ("1e2", 100.0)],
)
def test_numbers_in_range(value: ClinicalValue, expected: float) -> None:
    assert AGE.parse(value) == expected


@pytest.mark.parametrize(
    "value",
    [200, "200", 120.001, -1, -0.5, math.inf, -math.inf, "inf", "old", "55 years", "5,5", [55]],
    ids=str,
)
def test_numbers_that_make_no_sense(value: ClinicalValue) -> None:
    with pytest.raises(InputRejected) as caught:
        AGE.parse(value)
    assert str(caught.value) == (
        f"age must be a number from 0 to 120 years, got {value}. Leave it out if it is unknown."
    )
    assert caught.value.exit_code == 3


def test_a_number_beyond_every_float_is_rejected_too() -> None:
    with pytest.raises(InputRejected, match="age must be a number from 0 to 120 years, got 1000"):
        AGE.parse(10**400)


def test_the_message_names_the_fields_own_range_and_unit() -> None:
    with pytest.raises(InputRejected, match=r"diameter must be a number from 0\.5 to 80 mm, got 0\."):
        NumericField("diameter", "mm", 0.5, 80).parse(0)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("back", 0),
        ("BACK", 0),
        (" Back ", 0),
        ("lower extremity", 1),
        ("lower_extremity", 1),
        ("Lower_Extremity", 1),
        ("upper_extremity", 2),
        ("upper extremity", 2),
        ("scalp", 3),
    ],
)
def test_words_in_any_case_with_blanks_or_underscores(word: str, expected: int) -> None:
    assert SITE.parse(word) == expected


@pytest.mark.parametrize("word", ["Back", "back", "BACK"])
def test_a_vocabulary_with_capitals_knows_its_own_words(word: str) -> None:
    assert CategoricalField("site", ("face", "Back")).parse(word) == 1


def test_a_vocabulary_may_hold_unknown_as_a_word() -> None:
    field = CategoricalField("site", ("back", "unknown"))
    assert (field.parse("unknown"), field.parse("none"), field.parse(None)) == (1, -1, -1)


@pytest.mark.parametrize(
    ("word", "nearest"),
    [("bakc", "back"), ("lower extremities", "lower extremity"), ("UPPER-EXTREMITY", "upper_extremity")],
)
def test_the_nearest_word_is_offered(word: str, nearest: str) -> None:
    with pytest.raises(InputRejected) as caught:
        SITE.parse(word)
    assert str(caught.value) == (
        f"site '{word}' is not in the vocabulary: back, lower extremity, upper_extremity, scalp."
        f" Did you mean '{nearest}'? Leave it out if it is unknown."
    )


@pytest.mark.parametrize("word", ["zzz", 1, 0, -1, 2.5])
def test_no_word_is_offered_when_none_is_near(word: ClinicalValue) -> None:
    with pytest.raises(InputRejected, match=f"site '{word}' is not in the vocabulary") as caught:
        SITE.parse(word)
    assert "Did you mean" not in str(caught.value)


def test_encode_gives_columns_in_the_order_of_the_schema() -> None:
    numeric, categorical = SCHEMA.encode([{"site": "scalp", "sex": "male", "age": 30}, {}, {"sex": "female"}])
    np.testing.assert_array_equal(numeric, np.array([[30], [np.nan], [np.nan]], np.float32), strict=True)
    np.testing.assert_array_equal(categorical, np.array([[1, 3], [-1, -1], [0, -1]], np.int32), strict=True)


@pytest.mark.parametrize("word", ["85+", " 85+ ", "\uff18\uff15+"])  # the last in full-width digits
def test_a_synonym_of_a_number(word: str) -> None:
    age = NumericField("age", "years", 0, 120, synonyms={"85+": 85.0})
    assert (age.parse(word), age.parse("84"), age.parse(86)) == (85.0, 84.0, 86.0)
    assert math.isnan(age.parse("unknown"))
    with pytest.raises(InputRejected, match=r"age must be a number from 0 to 120 years, got 90\+\."):
        age.parse("90+")


def test_a_synonym_of_a_word() -> None:
    site = replace(SITE, synonyms={"Kopf_haut": "scalp", "NA": "back"})
    assert [site.parse(word) for word in ("KOPF HAUT", "scalp", "na", "nan", None)] == [3, 3, 0, -1, -1]
    with pytest.raises(InputRejected, match=r"vocabulary: back, .*, scalp\. Did you mean 'Kopf_haut'\?"):
        site.parse("kopfhaut")
    assert site == SITE, "the model reads the same"
    assert ClinicalSchema((), (site,)).with_imputed({"site": "back"}).categorical[0].parse("Kopf haut") == 3


@pytest.mark.parametrize("rows", [0, 2])
def test_encode_keeps_its_shape_without_rows_or_fields(rows: int) -> None:
    patients: list[dict[str, ClinicalValue]] = [{}] * rows
    assert [array.shape for array in SCHEMA.encode(patients)] == [(rows, 1), (rows, 2)]
    assert [array.shape for array in ClinicalSchema().encode(patients)] == [(rows, 0), (rows, 0)]


def test_encode_reads_an_iterator() -> None:
    numeric, _ = SCHEMA.encode({"age": age} for age in (1, 2))
    assert numeric.tolist() == [[1], [2]]


@pytest.mark.parametrize("value", [5, None])
def test_a_field_the_model_lacks(value: ClinicalValue) -> None:
    with pytest.raises(InputRejected, match=r"^This model has no clinical field 'Age'; it reads age, sex, site\.$"):
        SCHEMA.encode([{"age": 5}, {"Age": value}])
    with pytest.raises(InputRejected, match=r"no clinical field 'age'; it reads the image alone\.$"):
        ClinicalSchema().encode([{"age": value}])


def test_names_and_features() -> None:
    assert SCHEMA.names == ("age", "sex", "site")
    assert SCHEMA.features == (
        *("age", "sex=female", "sex=male"),
        *("site=back", "site=lower extremity", "site=upper_extremity", "site=scalp"),
    )
