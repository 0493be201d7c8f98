"""A clinic's data set under the names of a model that was trained on another one."""

import pytest
from clinic import ROWS, SCHEMA, write_clinic
from make_tiny_model import AGE, SEX, SITE, tiny_spec

from dermedge.data.schema_file import load_schema, parse_schema
from dermedge.evaluation.other_data import class_map, field_map, read_other_data
from dermedge_runtime.errors import InputRejected, UsageError
from dermedge_runtime.inputs.clinical import NumericField

CLINIC = parse_schema(SCHEMA.encode(), "clinic.toml")
OURS = ("nv", "bcc", "mel")
MAP = {"benign": "nv", "malignant": "mel"}


def read(folder, **options):
    return read_other_data(folder, CLINIC, tiny_spec(), **options)


def test_photographs_come_under_the_models_names_and_the_rest_is_counted(tmp_path):
    write_clinic(tmp_path, (*ROWS, ROWS[0].replace("2023/p1.png", "2025/p9.jpg").replace(";Kopf", ";arm")))
    found = read(tmp_path, classes=MAP)
    assert [(OURS[s.label], dict(s.clinical)) for s in found.samples] == [
        ("nv", {"age": 30.0}), ("nv", {"age": 31.0}), ("mel", {}), ("nv", {"age": 30.0}),
    ]  # fmt: skip
    assert dict(found.left_out) == {"other": 1}
    assert dict(found.fields) == {"age": "age", "site": "site"} and list(found.unknown_fields) == ["sex"]
    assert found.unknown_words == {"site": {"limb": 2, "head": 1, "trunk": 1}}
    assert found.to_text().splitlines() == [
        "Example clinic 2024: 4 pictures, 2 patients",
        "classes: benign = nv, malignant = mel; left out with their pictures, as no class of the model: other (1)",
        "clinical fields: age, site; unknown of every patient: sex",
        "site: counted as unknown, because the model does not take it: limb (2), head (1), trunk (1)",
    ]
    assert found.melanoma is None, "the schema names none"


def test_what_the_model_does_not_read_need_not_be_readable(tmp_path):
    write_clinic(tmp_path, (ROWS[0].replace("yes", "perhaps"), ROWS[2]))
    assert len(read(tmp_path, classes=MAP).samples) == 2
    only_picture = read_other_data(tmp_path, CLINIC, tiny_spec(clinical=False), classes=MAP)
    assert [s.clinical for s in only_picture.samples] == [{}, {}] and "clinical" not in only_picture.to_text()


def test_a_value_outside_the_models_range_is_unknown_and_counted(tmp_path):
    write_clinic(tmp_path, (ROWS[0].replace(";30;", ";99;"), ROWS[2]))
    spec = tiny_spec()
    narrow = type(spec.clinical)((NumericField("age", "years", 0, 90),), spec.clinical.categorical)
    object.__setattr__(spec, "clinical", narrow)
    found = read_other_data(tmp_path, CLINIC, spec, classes=MAP)
    assert found.unknown_words["age"] == {"99": 1} and "age" not in found.samples[0].clinical


def test_a_table_without_a_needed_column_is_one_sentence(tmp_path):
    write_clinic(tmp_path)
    table = tmp_path / "cases.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("Site", "Place").replace("itch", "itches"))
    with pytest.raises(
        InputRejected, match=r"lacks the columns Site\. The columns there are: Ward, .*itches"
    ) as caught:
        read(tmp_path, classes=MAP)
    assert "\n" not in str(caught.value)


def test_data_without_any_photograph_of_the_classes_is_an_error(tmp_path):
    write_clinic(tmp_path, ROWS[:2])
    with pytest.raises(InputRejected, match=r"holds no picture of malignant; there are benign \(2\)\. Map one"):
        read(tmp_path, classes={"malignant": "mel"})


def test_without_a_map_equal_codes_are_one_class():
    pad = load_schema("pad_ufes_20")
    assert class_map(pad, ("akiec", "bcc", "mel"), None) == {"BCC": "bcc", "MEL": "mel"}
    assert class_map(pad, ("akiec", "bcc", "mel"), {"ack": "AKIEC"}) == {"ACK": "akiec"}, "and the map is all there is"
    with pytest.raises(UsageError, match=r"No class of Example clinic 2024 \(benign, malignant, other\) is called as"):
        class_map(CLINIC, OURS, None)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"benin": "nv"}, "There is no class 'benin' in Example clinic 2024; known are benign, malignant, other; did"),
        ({"benign": "nevus"}, "There is no class 'nevus' in the model; known are nv, bcc, mel."),
        ({"benign": "nv", "Benign": "mel"}, "The class benign of Example clinic 2024 is named twice."),
    ],
)
def test_a_map_of_unknown_classes_names_the_known_ones(given, says):
    with pytest.raises(UsageError) as caught:
        class_map(CLINIC, OURS, given)
    assert str(caught.value).startswith(says)


def test_fields_go_by_their_names_and_by_what_is_said():
    pad = load_schema("pad_ufes_20")
    assert field_map(pad, (AGE, SEX, SITE), {}) == {"age": "age"}
    given = {"gender": "sex", "region": "site"}
    assert field_map(pad, (AGE, SEX, SITE), given) == {"age": "age", **given}
    assert field_map(pad, (AGE, SEX), {"diameter_1": "sex"})["diameter_1"] == "sex", "words are another matter"
    months = NumericField("age", "months", 0, 1440)
    assert field_map(pad, (months, SEX), {}) == {}, "another unit is another field"
    assert field_map(pad, (AGE, SEX), {"fitspatrick": "sex"}) == {"age": "age", "fitspatrick": "sex"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"sexx": "sex"}, "There is no field 'sexx' in PAD-UFES-20; known are age, fitspatrick"),
        ({"gender": "place"}, "There is no field 'place' in the model; known are age, sex, site."),
        ({"gender": "sex", "region": "sex"}, "Two fields of PAD-UFES-20 are given for one of the model."),
        ({"diameter_1": "age"}, "The field diameter_1 of PAD-UFES-20 has another unit than age of the model."),
    ],
)
def test_a_map_of_unknown_fields_names_the_known_ones(given, says):
    with pytest.raises(UsageError) as caught:
        field_map(load_schema("pad_ufes_20"), (AGE, SEX, SITE), given)
    assert str(caught.value).startswith(says)
