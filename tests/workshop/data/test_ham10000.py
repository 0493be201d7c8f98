import csv
from pathlib import Path

import pytest

from dermedge.data.ham10000 import CLASSES, HAM10000, read_samples
from dermedge_runtime.errors import InputRejected

HEADER = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]
ROWS = [
    ["HAM_7", "ISIC_3", "mel", "histo", "55.0", "male", "back"],
    ["HAM_7", "ISIC_1", "mel", "histo", "55.0", "male", "back"],
    ["HAM_2", "ISIC_2", "nv", "follow_up", "0.0", "female", "lower extremity"],
    ["HAM_9", "ISIC_9", "akiec", "confocal", "", "unknown", "unknown"],
]
TWO_FOLDERS = ("HAM10000_images_part_1", "HAM10000_images_part_2")


def write(
    folder: Path, rows=ROWS, *, header=HEADER, name="HAM10000_metadata.csv", comma=",", bom=False, parts=TWO_FOLDERS
) -> Path:
    """Write a table and an (undecoded, so empty) picture for each of its rows."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as stream:
        csv.writer(stream, delimiter=comma).writerows([header, *rows])
    for index, row in enumerate(rows):
        picture = folder / parts[index % len(parts)] / f"{row[1]}.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.touch()
    return folder


def changed(column: str, value: str, row: int = 1) -> list[list[str]]:
    rows = [list(entry) for entry in ROWS]
    rows[row][HEADER.index(column)] = value
    return rows


def rejection(folder: Path | None) -> str:
    with pytest.raises(InputRejected) as caught:
        read_samples(folder)
    assert caught.value.exit_code == 3
    return str(caught.value)


@pytest.mark.parametrize("parts", [TWO_FOLDERS, ("HAM10000_images",), (".",), ("a/b/c",)])
@pytest.mark.parametrize("comma", [",", "\t"])
@pytest.mark.parametrize("name", HAM10000.table.files)
def test_every_published_layout_gives_the_same_samples(tmp_path, name, comma, parts):
    samples = read_samples(write(tmp_path, name=name, comma=comma, bom=comma == ",", parts=parts))
    assert [(s.image_id, s.lesion_id, CLASSES[s.label]) for s in samples] == [
        ("ISIC_3", "HAM_7", "mel"),
        ("ISIC_1", "HAM_7", "mel"),
        ("ISIC_2", "HAM_2", "nv"),
        ("ISIC_9", "HAM_9", "akiec"),
    ]
    assert [s.path for s in samples] == [
        tmp_path / parts[i % len(parts)] / f"{row[1]}.jpg" for i, row in enumerate(ROWS)
    ]


def test_values_are_parsed_and_unknown_ones_are_absent(tmp_path):
    samples = read_samples(write(tmp_path))
    assert samples[0].clinical == {"age": 55.0, "sex": "male", "site": "back", "dx_type": "histo"}
    assert samples[2].clinical == {"age": 0.0, "sex": "female", "site": "lower extremity", "dx_type": "follow_up"}
    assert samples[3].clinical == {"dx_type": "confocal"}


@pytest.mark.parametrize("word", ["", "unknown", "NaN", " Unknown "])
@pytest.mark.parametrize(("column", "field"), [("age", "age"), ("sex", "sex"), ("localization", "site")])
def test_every_spelling_of_unknown_is_absent(tmp_path, column, field, word):
    assert field not in read_samples(write(tmp_path, changed(column, word)))[1].clinical


def test_further_columns_other_cases_and_windows_line_ends_do_no_harm(tmp_path):
    rows = [[*row, "vidir"] for row in changed("dx", " MEL ")]
    write(tmp_path, rows, header=[*HEADER, "dataset"])
    table = tmp_path / "HAM10000_metadata.csv"
    table.write_bytes(table.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    assert [CLASSES[s.label] for s in read_samples(tmp_path)] == ["mel", "mel", "nv", "akiec"]


def test_masks_and_hidden_folders_are_not_taken_for_pictures(tmp_path):
    write(tmp_path)
    for folder in ("HAM10000_Lesion_Segmentations", "HAM10000_segmentations_lesion_tschandl", ".thumbnails"):
        (tmp_path / folder).mkdir()
        for row in ROWS:
            (tmp_path / folder / f"{row[1]}.png").touch()
    assert {s.path.parent.name for s in read_samples(tmp_path)} == set(TWO_FOLDERS)


def test_upper_case_suffixes_are_pictures_too(tmp_path):
    picture = write(tmp_path) / TWO_FOLDERS[0] / "ISIC_3.jpg"
    picture.rename(picture.with_suffix(".JPEG"))
    assert read_samples(tmp_path)[0].path.name == "ISIC_3.JPEG"


def test_dx_type_is_a_field_only_on_request():
    assert HAM10000.clinical("grouped").names == ("age", "sex", "site")
    assert HAM10000.clinical("paper").names == ("age", "sex", "site", "dx_type")


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("none", "No data folder was given"),
        ("missing", "does not exist"),
        ("empty", "holds no HAM10000_metadata.csv or HAM10000_metadata or HAM10000_metadata.tab"),
        ("no rows", "has no rows"),
    ],
)
def test_without_data_the_message_says_where_to_get_it(tmp_path, kind, says):
    folder = {"none": None, "missing": tmp_path / "nowhere", "empty": tmp_path}.get(kind, tmp_path)
    if kind == "no rows":
        write(tmp_path, [])
    message = rejection(folder)
    assert says in message
    assert "doi:10.7910/DVN/DBW86T" in message and "--data" in message and "`dermedge demo`" in message
    if folder is not None:
        assert str(folder) in message


@pytest.mark.parametrize("missing", HEADER)
def test_a_missing_column_is_named_alone(tmp_path, missing):
    index = HEADER.index(missing)
    header = [name for name in HEADER if name != missing]
    write(tmp_path, [[*row[:index], *row[index + 1 :]] for row in ROWS], header=header)
    assert f"lacks the columns {missing}." in rejection(tmp_path)


def test_an_empty_table_lacks_every_column(tmp_path):
    (tmp_path / "HAM10000_metadata.csv").touch()
    assert f"lacks the columns {', '.join(sorted(HEADER))}." in rejection(tmp_path)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("dx", "melanoma", f"unknown diagnosis 'melanoma'; known are {', '.join(CLASSES)}"),
        ("dx", "", "unknown diagnosis ''"),
        ("age", "200", "age must be a number from 0 to 120 years, got 200"),
        ("age", "-5", "age must be a number from 0 to 120 years, got -5"),
        ("age", "old", "age must be a number from 0 to 120 years, got old"),
        ("age", "inf", "age must be a number from 0 to 120 years, got inf"),
        ("localization", "bakc", "site 'bakc' is not in the vocabulary: abdomen, acral, back,"),
        ("localization", "bakc", "Did you mean 'back'?"),
        ("sex", "femal", "Did you mean 'female'?"),
        ("dx_type", "hist", "Did you mean 'histo'?"),
        ("image_id", " ", "image_id or lesion_id is empty"),
        ("lesion_id", "", "image_id or lesion_id is empty"),
    ],
)
@pytest.mark.parametrize("row", [0, 2])
def test_a_bad_value_is_named_with_its_line(tmp_path, column, value, says, row):
    message = rejection(write(tmp_path, changed(column, value, row)))
    assert message.startswith(f"HAM10000_metadata.csv, line {row + 2}: ")
    assert says in message


@pytest.mark.parametrize("row", [ROWS[2][:-1], [*ROWS[2], "extra"], ["HAM_2", "ISIC_2"]])
def test_a_row_of_another_length_is_named_with_its_line(tmp_path, row):
    message = rejection(write(tmp_path, [*ROWS[:2], row, ROWS[3]]))
    assert message == "HAM10000_metadata.csv, line 4: the row has not as many columns as the header."


def test_images_listed_twice_are_named(tmp_path):
    message = rejection(write(tmp_path, [*ROWS, ROWS[2], ROWS[0]]))
    assert message == "HAM10000_metadata.csv lists these images more than once: ISIC_2, ISIC_3."


@pytest.mark.parametrize(("absent", "tail"), [(7, " and others."), (5, ".")])
def test_absent_images_are_counted_and_the_first_five_named(tmp_path, absent, tail):
    write(tmp_path, [[f"HAM_{i}", f"ISIC_{i}", *ROWS[0][2:]] for i in range(9)])
    for index in range(1, absent + 1):
        next(tmp_path.rglob(f"ISIC_{index}.jpg")).unlink()
    message = rejection(tmp_path)
    assert f"{absent} of the 9 images named in HAM10000_metadata.csv are not below {tmp_path}" in message
    assert f": ISIC_1, ISIC_2, ISIC_3, ISIC_4, ISIC_5{tail} Unpack all image folders" in message


@pytest.mark.parametrize(
    "content",
    [b",".join(name.encode() for name in HEADER) + b"\nHAM_1,ISIC_1,mel,histo,5,male,r\xfccken\n", b"\xff\xfe\x00"],
)
def test_a_table_that_is_not_utf8_is_refused(tmp_path, content):
    (tmp_path / "HAM10000_metadata.csv").write_bytes(content)
    assert "HAM10000_metadata.csv is no UTF-8 table separated by commas, tabs or semicolons" in rejection(tmp_path)


def test_an_unclosed_quote_is_refused_with_its_line(tmp_path):
    table = write(tmp_path) / "HAM10000_metadata.csv"
    table.write_text(table.read_text(encoding="utf-8") + 'HAM_8,"ISIC_8,mel', encoding="utf-8")
    message = rejection(tmp_path)
    assert message.startswith("HAM10000_metadata.csv, line 6: it is no row of a table: unexpected end of data.")
    assert "Close every quotation mark" in message


def test_an_unclosed_quote_in_the_header_is_refused(tmp_path):
    table = write(tmp_path) / "HAM10000_metadata.csv"
    table.write_text('"' + table.read_text(encoding="utf-8"), encoding="utf-8")
    assert "no UTF-8 table separated by commas, tabs or semicolons" in rejection(tmp_path)


def test_the_real_data_is_read_whole(ham10000):
    samples = read_samples(ham10000)
    with (ham10000 / "HAM10000_metadata.csv").open(encoding="utf-8") as stream:
        assert len(samples) == sum(1 for line in stream if line.strip()) - 1
    assert {s.label for s in samples} == set(range(len(CLASSES)))
    assert all(s.path.is_file() and s.path.stem == s.image_id for s in samples)
    assert {"segmentations" in str(s.path) for s in samples} == {False}
    # Why dx_type is no feature by default: it gives the diagnosis away.
    assert {CLASSES[s.label] for s in samples if s.clinical.get("dx_type") == "follow_up"} == {"nv"}
