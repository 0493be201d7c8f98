"""Cells that usual tables have are understood; whatever else a model does not know is left for it to refuse."""

import pytest
from make_tiny_model import AGE, SEX, SITE

from dermedge.batch.table.usual_words import UsualWords
from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalSchema

WORDS = UsualWords(ClinicalSchema((AGE,), (SEX, SITE)))


@pytest.mark.parametrize(
    ("field", "cell", "read"),
    [
        ("age", "55,5", "55.5"),
        ("age", "1,234", "1,234"),
        ("age", " 55.5 ", "55.5"),
        ("age", "55 years", "55 years"),
        ("age", "m", "m"),
        ("sex", "M", "male"),
        ("sex", "w", "female"),
        ("sex", "Female", "Female"),
        ("sex", "x", "x"),
        ("site", "f", "f"),
        ("site", "1,5", "1,5"),
    ],
)
def test_what_tables_write(field: str, cell: str, read: str) -> None:
    assert WORDS.read(field, cell) == read


@pytest.mark.parametrize("cell", ["N/A", "#N/A", "null", "NULL", "<NA>", " n/a "])
@pytest.mark.parametrize("field", ["age", "sex", "site"])
def test_missing_as_programs_write_it(field: str, cell: str) -> None:
    assert WORDS.read(field, cell) == ""


def test_what_the_model_knows_itself_comes_first() -> None:
    own = CategoricalField("sex", ("m", "f", "null"), synonyms={"N/A": "m"})
    words = UsualWords(ClinicalSchema((), (own,)))
    assert [words.read("sex", cell) for cell in ("M", "f", "NULL", "n/a", "w")] == ["M", "f", "NULL", "n/a", "w"]
