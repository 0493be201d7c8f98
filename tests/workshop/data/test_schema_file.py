"""Schema files: what is shipped, what a clinic may write, and one sentence for everything that is wrong."""

import json
from pathlib import Path

import pytest
from clinic import SCHEMA

from dermedge.data.schema_file import load_schema, parse_schema, schema_from_record, shipped_schemas
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import CategoricalField, NumericField


def rejections(text: str | bytes) -> list[str]:
    """What is said of a schema, fault by fault."""
    with pytest.raises(InputRejected) as caught:
        parse_schema(text if isinstance(text, bytes) else text.encode(), "clinic.toml")
    assert caught.value.exit_code == 3
    lines = str(caught.value).split("\n")
    assert all(line.startswith("The schema clinic.toml") and line.endswith((".", "?")) for line in lines)
    return lines


def rejection(text: str | bytes) -> str:
    (line,) = rejections(text)
    return line


def test_the_published_data_sets_are_shipped():
    assert shipped_schemas() == ("ham10000", "isic_2018", "isic_2019", "isic_archive", "pad_ufes_20")


def test_ham10000_keeps_its_classes_and_fields():
    schema = load_schema("ham10000")
    assert schema.classes == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    assert (schema.melanoma, schema.table.group, schema.table.group_name) == ("mel", ("lesion_id",), "lesion")
    assert schema.clinical("grouped").names == ("age", "sex", "site")
    assert schema.clinical("paper").names == ("age", "sex", "site", "dx_type")
    assert len(schema.clinical("grouped").features) == 17
    assert "HAM10000: CC BY-NC 4.0: non-commercial use only" in schema.licence_of_weights


def test_pad_ufes_20_has_its_22_clinical_columns():
    schema = load_schema("pad_ufes_20")
    assert schema.classes == ("ACK", "BCC", "MEL", "NEV", "SCC", "SEK")
    assert schema.melanoma == "MEL"
    assert len(schema.fields) == len(schema.clinical("paper").names) == 22
    assert set(schema.clinical("paper").names) - set(schema.clinical("grouped").names) == {"biopsed"}
    assert "PAD-UFES-20: CC BY 4.0" in schema.licence_of_weights


def test_a_clinics_file_is_read_whole(tmp_path):
    path = tmp_path / "clinic.toml"
    path.write_bytes(b"\xef\xbb\xbf" + SCHEMA.encode())  # as Windows editors save it
    schema = load_schema(str(path))
    assert (schema.name, schema.melanoma, schema.published) == ("Example clinic 2024", None, "")
    assert schema.class_names["benign"] == "benign lesion"
    assert schema.diagnoses == {
        "benign": "benign", "malignant": "malignant", "other": "other",
        "melanoma in situ": "malignant", "nevus": "benign",
    }  # fmt: skip
    assert schema.columns == ("Photo", "Ward", "Patient", "Finding", "Age (years)", "Site", "itch", "confirmed")
    clinical = schema.clinical("grouped")
    assert clinical.numeric == (NumericField("age", "years", 0.0, 110.0),)
    assert clinical.categorical == (
        CategoricalField("site", ("head", "trunk", "limb")),
        CategoricalField("itch", ("false", "true")),
    )
    assert [dict(field.synonyms) for field in schema.clinical("grouped").fields] == [
        *({}, {"Kopf": "head", "arm": "limb", "leg": "limb"}, {"yes": "true", "no": "false"}),
    ]
    assert schema.clinical("paper").names == ("age", "site", "itch", "confirmed")
    assert schema.fields[1].synonyms == {"kopf": "head", "arm": "limb", "leg": "limb"}
    assert schema.licence_of_weights.endswith("Example clinic 2024: internal use only")


def test_the_documented_example_is_a_schema():
    text = (Path(__file__).parents[3] / "docs" / "schema.md").read_text(encoding="utf-8")
    schema = parse_schema(text.partition("```toml\n")[2].partition("```")[0].encode(), "docs/schema.md")
    assert schema.clinical("paper").names == ("age", "region", "itch", "biopsied")
    assert schema.diagnoses["melanoma in situ"] == schema.melanoma == "MEL"
    assert schema.skip_diagnoses == {"not gradable", ""} and schema.fields[0].synonyms == {"85+": 85.0}


def test_a_licence_that_is_not_written_is_not_stated():
    schema = parse_schema(SCHEMA.replace('licence = "internal use only"\n', "").encode(), "x")
    assert schema.licence_of_weights.endswith("Example clinic 2024: not stated")


def test_a_schema_survives_the_json_of_a_run():
    schema = parse_schema(SCHEMA.encode(), "clinic.toml")
    again = schema_from_record(json.loads(json.dumps(schema.record)), "config.json")
    assert again == schema
    assert (again.classes, again.clinical("paper").names) == (schema.classes, schema.clinical("paper").names)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("pad_ufes20", "Did you mean 'pad_ufes_20'?"),
        ("HAM", "Did you mean 'ham10000'?"),
        (
            "quantum",
            "ships ham10000, isic_2018, isic_2019, isic_archive, pad_ufes_20. A schema of your own is given by its",
        ),
    ],
)
def test_an_unknown_name_lists_the_known_and_the_nearest(name, says):
    with pytest.raises(InputRejected, match=f"There is no schema '{name}'") as caught:
        load_schema(name)
    assert says in str(caught.value)


def test_a_name_that_no_file_can_have_is_told():
    with pytest.raises(InputRejected, match=r"^The schema 'a\\x00\.toml' cannot be read: embedded null byte\.$"):
        load_schema("a\0.toml")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputRejected, match=r"nowhere\.toml cannot be read: No such file"):
        load_schema(str(tmp_path / "nowhere.toml"))


@pytest.mark.parametrize("content", [b"name = ", b"a = 1\na = 2", b"\xff\xfe\x00", b"{}"])
def test_what_is_no_toml_is_said(content):
    assert "is no TOML file: " in rejection(content)


@pytest.mark.parametrize(
    "key", ["name", "files", "image", "diagnosis", "group", "group_name", "kind", "unit", "minimum", "vocabulary"]
)
def test_a_key_that_is_missing_is_named_with_its_table(key):
    line = next(line for line in SCHEMA.splitlines() if line.startswith(f"{key} = "))
    where = {"kind": "fields[1].", "unit": "fields[1].", "minimum": "fields[1].", "vocabulary": "fields[2]."}
    full = "" if key == "name" else where.get(key, "table.")
    assert f"the key {full}{key} is missing." in rejection(SCHEMA.replace(line + "\n", "", 1))


CHANGES = {
    "one class": (
        'malignant = "malignant lesion"\nother = "another lesion"\n',
        "",
        "classes must hold 2 or more words",
    ),
    "classes alike": ('other = "another lesion"', 'Benign = "x"', "classes holds 'benign' more than once"),
    "class name": ('"benign lesion"', "5", "classes.benign must be a text, found a whole number, 5."),
    "no table": ('{ yes = "true", no = "false" }', "3", "fields[3].synonyms must be a table of texts, found a whole"),
    "misspelt key": ('licence = "int', 'license = "int', "the key license is unknown; did you mean 'licence'?"),
    "foreign key": ('delimiter = ";"', 'colour = "red"', "the key table.colour is unknown; known are files,"),
    "wrong kind": ('image = "Photo"', "image = 7", "table.image must be a text, found a whole number, 7"),
    "empty text": ('image = "Photo"', 'image = " "', "table.image must be a text, found text, ' '"),
    "empty column": ('column = "Site"', 'column = ""', "fields[2].column must be a text, found text, ''"),
    "no list": ('files = ["cases.csv"]', 'files = "cases.csv"', "table.files must be a list of texts, found text"),
    "path": ('["cases.csv"]', '["a/cases.csv"]', "table.files[1] must be a name without a folder, found 'a/c"),
    "delimiter": ('delimiter = ";"', 'delimiter = "::"', "table.delimiter must be one character"),
    "group name": ('group_name = "patient"', 'group_name = "a patient"', "table.group_name must be one word"),
    "melanoma": ("licence =", 'melanoma = "mel"\nlicence =', "melanoma is 'mel', which is not among the classes"),
    "urgent": ("licence =", 'urgent = ["mel"]\nlicence =', "urgent has 'mel', which is not among the classes"),
    "all urgent": ("licence =", 'urgent = ["benign", "malignant", "other"]\nlicence =', "urgent has every class"),
    "class map": ('nevus = "benign"', 'nevus = "good"', "diagnoses.nevus is 'good', which is not among the classes"),
    "class map twice": ('nevus = "benign"', 'BENIGN = "other"', "'BENIGN' means both benign and other"),
    "kind": ('kind = "numeric"', 'kind = "number"', "must be numeric, categorical or boolean, found 'number'"),
    "range": ("maximum = 110", "maximum = 0", "the field age has the minimum 0 and the maximum 0"),
    "number": ("maximum = 110", "maximum = inf", "fields[1].maximum must be a number, found a number, inf"),
    "truth": ("paper_only = true", 'paper_only = "yes"', "fields[4].paper_only must be true or false, found text"),
    "vocabulary": ('"limb"]', '"HEAD"]', "fields[2].vocabulary holds 'head' more than once, case and _ aside"),
    "empty word": ('"limb"]', '""]', "fields[2].vocabulary must hold 1 or more words, none of them empty"),
    "synonym": ('leg = "limb"', 'leg = "lim"', "has the synonym 'leg' of 'lim', which is not in its vocabulary: head"),
    "synonym of two": ('leg = "limb"', 'TRUNK = "limb"', "in the field site 'TRUNK' means both trunk and limb"),
    "unknown word": ('["?"]', '["KOPF"]', "in the field site 'kopf' is a word or a synonym, and means unknown"),
    "field twice": ('name = "itch"', 'name = "site"\ncolumn = "itch"', "two fields are called 'site'"),
    "field name": ('name = "itch"', 'name = "target"', "fields[3].name is 'target'; a field's name is letters"),
    "diagnosis as field": ('column = "Site"', 'column = "Finding"', "site reads the column of the diagnosis"),
    "number as synonym": (
        "minimum = 0",
        'minimum = 0\nsynonyms = {"1e1" = 5}',
        "synonym '1e1', which is a number itself",
    ),
    "number out of range": (
        "minimum = 0",
        'minimum = 0\nsynonyms = {"85+" = 111}',
        "'85+' of 111, which is not from 0",
    ),
    "number of two": ("minimum = 0", 'minimum = 0\nsynonyms = {a_b = 1, "A B" = 2}', "age 'A B' means both 1 and 2"),
    "unknown as number": ("minimum = 0", "minimum = 0\nsynonyms = {None = 5}", "synonym 'None', which means unknown"),
    "no number": (
        "minimum = 0",
        'minimum = 0\nsynonyms = {x = "5"}',
        "fields[1].synonyms.x must be a number, found text",
    ),
    "no numbers": ("minimum = 0", "minimum = 0\nsynonyms = 5", "fields[1].synonyms must be a table of numbers, found"),
    "unknown number": (
        "minimum = 0",
        'minimum = 0\nsynonyms = {"?" = 5}',
        "'?' is a word or a synonym, and means unknown",
    ),
    "class left out": (
        "licence =",
        'skip_diagnoses = ["NEVUS"]\nlicence =',
        "'NEVUS' means benign, and is left out by",
    ),
    "no list of words": (
        "licence =",
        'skip_diagnoses = "x"\nlicence =',
        "skip_diagnoses must be a list of texts, found",
    ),
    "truth of each": ('image = "Photo"', 'image = "P"\ntruth_files = ["a", "b"]', "each of table.files, 1, found 2"),
    "truth in a folder": (
        'image = "Photo"',
        'image = "P"\ntruth_files = ["a/b"]',
        "[1] must be a name without a folder",
    ),
    "one-hot and a word": (
        'image = "Photo"',
        'image = "P"\none_hot = ["a", "b"]',
        "table.diagnosis and table.one_hot both",
    ),
    "one-hot of one": ('diagnosis = "Finding"', 'one_hot = ["benign"]', "table.one_hot must hold 2 or more words"),
    "one-hot of no class": (
        'diagnosis = "Finding"',
        'one_hot = ["BENIGN", "nevus", "rest"]',
        "table.one_hot names 'rest', which is no class, and neither in diagnoses nor skip_diagnoses",
    ),
    "stands in for itself": (
        "group_name",
        'group_fallback = ["Ward"]\ngroup_name',
        "names 'Ward', which is read before",
    ),
    "stands in twice": ("group_name", 'group_fallback = ["a", "a"]\ngroup_name', "names 'a', which is read before it"),
    "stands in for one-hot": (
        'diagnosis = "Finding"',
        'one_hot = ["benign", "other"]\ndiagnosis_fallback = ["x"]',
        "table.diagnosis_fallback stands in for table.diagnosis, and the diagnosis is in table.one_hot",
    ),
    "fallback as field": (
        "group = [",
        'diagnosis_fallback = ["Site"]\ngroup = [',
        "reads the column of the diagnosis, 'S",
    ),
    "date": ('name = "Example clinic 2024"', "name = 2024-01-01", "name must be a text, found something else"),
}


@pytest.mark.parametrize(("old", "new", "says"), CHANGES.values(), ids=CHANGES.keys())
def test_what_is_wrong_is_one_sentence_with_the_key(old, new, says):
    assert old in SCHEMA
    assert says in rejection(SCHEMA.replace(old, new, 1))


def test_everything_that_is_wrong_is_said_at_once():
    text = SCHEMA.replace("[classes]", "[glasses]").replace('licence = "internal', 'license = "internal')
    text = text.replace('image = "Photo"', "image = 7").replace('kind = "numeric"', 'kind = "number"')
    text = text.replace("paper_only = true", 'paper_only = "yes"').replace('delimiter = ";"', 'delimiter = "\\n"')
    assert [line.removeprefix("The schema clinic.toml: ") for line in rejections(text)] == [
        "the key classes is missing.",
        "table.delimiter must be one character, found text, '\\n'.",
        "table.image must be a text, found a whole number, 7.",
        "fields[1].kind must be numeric, categorical or boolean, found 'number'.",
        "fields[4].paper_only must be true or false, found text, 'yes'.",
        "the key license is unknown; did you mean 'licence'?",
        "the key glasses is unknown; did you mean 'classes'?",
    ]


def test_everything_that_contradicts_itself_is_said_at_once():
    text = SCHEMA.replace('nevus = "benign"', 'nevus = "good"\nBENIGN = "other"').replace('["?"]', '["KOPF"]')
    said = rejections(text.replace("licence =", 'melanoma = "mel"\nlicence ='))
    assert [line.split(": ")[1].split("'")[0] for line in said] == [
        "melanoma is ", "diagnoses.nevus is ", "the diagnosis ", "in the field site ",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("field", "says"),
    [
        ("3", "fields[1] must be a table, found a whole number, 3."),
        ("{ name = 'x' }", "the key fields[1].kind is missing."),
        ("{ name = 'x', kind = ['boolean'] }", "fields[1].kind must be numeric, categorical or boolean, found"),
        ("{ name = 'x', kind = 'boolean', synonyms = { ja = 1 } }", "fields[1].synonyms.ja must be a text, found"),
        ("{ name = 'x', kind = 'boolean', vocabulary = ['a'] }", "the key fields[1].vocabulary is unknown; known are"),
        ("{ name = 'x', kind = 'boolean', colum = 'y' }", "the key fields[1].colum is unknown; did you mean 'column'?"),
    ],
)
def test_an_entry_of_a_list_is_named_by_its_number(field, says):
    head = f"fields = [{field}]\n" + SCHEMA[: SCHEMA.index("[[fields]]")]
    assert says in rejection(head)


def test_a_schema_whose_fields_are_all_for_the_paper_alone_is_refused():
    text = SCHEMA[: SCHEMA.index("[[fields]]")] + '[[fields]]\nname = "x"\nkind = "boolean"\npaper_only = true\n'
    assert "every field is paper_only" in rejection(text)
    assert "the key fields is missing" in rejection(SCHEMA[: SCHEMA.index("[[fields]]")])
    assert "fields must be one or more tables [[fields]]" in rejection("fields = 3\n" + text[: text.index("[[fields")])
