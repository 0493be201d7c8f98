"""Tables as spreadsheets save them: encodings, delimiters, decimal commas, quotes, blank rows, bad lines."""

import logging
import unicodedata
from pathlib import Path

import pytest
from clinic import HEADER, ROWS, SCHEMA, write_clinic

from dermedge.data.samples import Sample, read_samples
from dermedge.data.schema_file import load_schema, parse_schema
from dermedge_runtime.errors import InputRejected

BAD = (
    ("A;50;p50.jpg;wart;30;head;yes;true;", "unknown diagnosis 'wart'"),
    ("A;50;p50.jpg;nevus;300;head;yes;true;", "got 300"),
    ("A;50;p50.jpg;nevus;30;head", "the row has not as many columns as the header."),
    ('A;50;"p50".jpg;nevus;30;head;yes;true;', "it is no row of a table: ';' expected after '\"'."),
    ("A;;p50.jpg;nevus;30;head;yes;true;", "Photo or Ward or Patient is empty."),
    ("n/a;50;p50.jpg;nevus;30;head;yes;true;", "Ward is 'n/a', which names no patient."),
    ("A;50;p50.jpg;nevus;30;\0;yes;true;", "it holds a NUL byte."),
)
"""Rows that cannot be used, and what is said of them."""
ANY_DELIMITER = SCHEMA.replace('delimiter = ";"\n', "")


def read(folder: Path, **options) -> list[Sample]:
    return read_samples(folder, load_schema(str(folder / "clinic.toml")), **options)


def rejection(folder: Path) -> str:
    with pytest.raises(InputRejected) as caught:
        read(folder)
    return str(caught.value)


def rewrite(folder: Path, change) -> None:
    path = folder / "cases.csv"
    path.write_bytes(change(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_usual_way_to_save_a_table_gives_the_same_samples(tmp_path, delimiter, encoding, end):
    write_clinic(tmp_path, schema=ANY_DELIMITER)
    expected = read(tmp_path)
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    rewrite(tmp_path, lambda text: (mark + text.replace(";", delimiter).replace("\n", end)).encode(encoding))
    assert read(tmp_path) == expected


def test_another_encoding_is_refused_with_the_mend(tmp_path):
    write_clinic(tmp_path, (ROWS[0].replace("Kopf", "Rücken"),))
    rewrite(tmp_path, lambda text: text.encode("cp1252"))
    assert "is no UTF-8 table separated by ';'" in rejection(tmp_path) and "Save it as CSV in UTF-8" in rejection(
        tmp_path
    )


@pytest.mark.parametrize("change", [str.upper, lambda name: f"{name}s", lambda name: name.replace("i", "í")])
def test_a_column_that_is_spelt_otherwise_is_named(tmp_path, change):
    write_clinic(tmp_path, header=HEADER.replace("Finding", change("Finding")))
    assert f"Its '{change('Finding')}' is not 'Finding': spell it so." in rejection(tmp_path)


def test_spaces_marks_and_encoded_accents_do_not_hide_a_column_a_class_or_a_word(tmp_path):
    accented = (
        SCHEMA.replace("nevus", '"Nävus"').replace("Finding", "Befund é").replace('Kopf = "head"', '"Füße" = "head"')
    )
    schema = unicodedata.normalize("NFC", accented)
    write_clinic(tmp_path, schema=schema)
    rows = [row.replace("nevus", "Nävus").replace("Kopf", "\u00a0FÜSSE\u200b".replace("SS", "ß")) for row in ROWS]
    header = HEADER.replace("Finding", " Befund\u00a0é ").replace("Ward", "\u200bWard")
    text = unicodedata.normalize("NFD", "\n".join([header, *rows]))
    (tmp_path / "cases.csv").write_text(text, encoding="utf-8")
    samples = read(tmp_path)
    assert [sample.label for sample in samples] == [0, 0, 1, 2] and samples[0].clinical["site"] == "head"
    decomposed = parse_schema(unicodedata.normalize("NFD", accented).encode(), "clinic.toml")
    assert decomposed == parse_schema(schema.encode(), "clinic.toml")


def test_names_of_a_schema_that_become_one_are_refused():
    twice = SCHEMA.replace('nevus = "benign"', '"n\u00e4vus" = "benign"\n"na\u0308vus" = "other"')
    with pytest.raises(InputRejected, match="two names in diagnoses differ in spaces or in the encoding of an accent"):
        parse_schema(twice.encode(), "clinic.toml")


def test_a_quoted_cell_may_hold_lines_and_lines_are_counted_in_the_file(tmp_path):
    rows = (ROWS[0] + '"first; then\nlater"', "", ROWS[1].replace("Benign", "wart"))
    write_clinic(tmp_path, ROWS)
    (tmp_path / "cases.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    assert rejection(tmp_path).startswith("cases.csv, line 5: unknown diagnosis 'wart'")
    (tmp_path / "cases.csv").write_text("\n".join([HEADER, *rows[:1], "", *ROWS[1:]]) + "\n\n", encoding="utf-8")
    assert len(read(tmp_path)) == 4


@pytest.mark.parametrize("last", [1, 2, 3])
def test_a_quote_that_swallows_rows_is_refused(tmp_path, last):
    rows = list(ROWS)
    rows[0] += '"note'
    rows[last] = rows[last].rstrip("later") + 'note"'
    write_clinic(tmp_path, ROWS)
    (tmp_path / "cases.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    message = rejection(tmp_path)
    assert message == "cases.csv, line 2: a quotation mark is not closed, and the rows below it are read as one cell."


def test_blank_rows_are_counted(tmp_path, caplog):
    write_clinic(tmp_path)
    text = "\n".join([HEADER, ROWS[0], ";" * 8, *ROWS[1:], " ;" * 8])
    (tmp_path / "cases.csv").write_text(text, encoding="utf-8")
    caplog.set_level(logging.INFO, "dermedge")
    assert len(read(tmp_path)) == 4
    assert caplog.messages == ["2 rows of cases.csv are blank and left out, first line 3"]


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        ("55,5", 'got 55,5. Leave it out if it is unknown. A table with decimal commas says so in its schema: decimal'),
        ("5_5", "got 5_5."), ("55 years", "got 55 years."), ("0-", "got 0-."), ("1e400", "got 1e400."), ("5.5.5", ""),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_with_its_line(tmp_path, cell, says):
    write_clinic(tmp_path, (ROWS[0].replace(";30;", f";{cell};"), *ROWS[1:]))
    message = rejection(tmp_path)
    assert message.startswith("cases.csv, line 2: age must be a number from 0 to 110 years") and says in message


def test_decimal_commas_are_read_where_the_schema_says_so(tmp_path):
    write_clinic(tmp_path, schema=SCHEMA.replace("group =", 'decimal = ","\ngroup ='))
    rewrite(tmp_path, lambda text: text.replace(";70.5;", ";70,5;").encode())
    assert read(tmp_path)[3].clinical["age"] == 70.5 and read(tmp_path)[0].clinical["age"] == 30
    rewrite(tmp_path, lambda text: text.replace(";70,5;", ";1.070,5;").encode())
    assert "line 5: age must be a number from 0 to 110 years, got 1.070,5." in rejection(tmp_path)
    for wrong in ("x", ";", ""):
        with pytest.raises(InputRejected, match=r"table\.decimal must be \. or ,"):
            parse_schema(SCHEMA.replace("group =", f'decimal = "{wrong}"\ngroup =').encode(), "clinic.toml")


def test_all_bad_rows_are_told_at_once_up_to_twenty(tmp_path):
    rows = [f"A;{n};p{n}.jpg;wart;30;head;yes;true;" for n in range(23)]
    rows[3] = "A;3;p3.jpg;nevus;300;head;yes;true;"
    rows[5] = "A;5"
    write_clinic(tmp_path)
    (tmp_path / "cases.csv").write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    first, *said, last = rejection(tmp_path).splitlines()
    assert first == "23 rows of cases.csv cannot be used:" and last == "and 3 more." and len(said) == 20
    assert [line.split(":")[0] for line in said] == [f"cases.csv, line {n}" for n in range(2, 22)]
    assert "got 300" in said[3] and "not as many columns" in said[5]


def test_forty_bad_lines_of_every_kind_are_told_at_once(tmp_path):
    good = [f"A;{n};p{n}.jpg;nevus;30;head;yes;true;" for n in range(40)]
    rows = [row for n, row in enumerate(good) for row in (row, BAD[n % len(BAD)][0])]
    write_clinic(tmp_path, tuple(good))
    (tmp_path / "cases.csv").write_text("\n".join([HEADER, *rows]), encoding="utf-8")
    first, *said, last = rejection(tmp_path).splitlines()
    assert (first, last, len(said)) == ("40 rows of cases.csv cannot be used:", "and 20 more.", 20)
    for n, line in enumerate(said):
        assert line.startswith(f"cases.csv, line {3 + 2 * n}: ") and BAD[n % len(BAD)][1] in line


def test_everything_that_is_wrong_with_a_line_is_told_at_once(tmp_path):
    write_clinic(tmp_path, (ROWS[0], "NaN;?;p9.jpg;wart;200;tail;maybe;yes;"))
    message = rejection(tmp_path)
    assert message.startswith("cases.csv, line 3: Ward is 'NaN', which names no patient.")
    for reason in ("Patient is '?'", "diagnosis 'wart'", "got 200", "site 'tail'", "itch 'maybe'", "confirmed 'yes'"):
        assert reason in message


def test_bytes_that_are_no_text_are_refused(tmp_path):
    write_clinic(tmp_path, (ROWS[0], ROWS[1] + "\0"))
    assert rejection(tmp_path) == "cases.csv, line 3: it holds a NUL byte."
    rewrite(tmp_path, lambda text: text.encode("utf-16-le"))
    assert "no UTF-8 table separated by ';': its header holds NUL bytes, as UTF-16 without" in rejection(tmp_path)


def test_ids_are_texts_and_keep_their_zeros(tmp_path):
    write_clinic(tmp_path, ("007;1e3;2023/01.jpg;nevus;030;head;yes;true;", *ROWS))
    sample = read(tmp_path)[0]
    assert (sample.image_id, sample.lesion_id, sample.clinical["age"]) == ("2023/01.jpg", "007 / 1e3", 30.0)


def test_another_table_beside_the_one_that_is_read_is_told(tmp_path, caplog):
    write_clinic(tmp_path, schema=SCHEMA.replace('"cases.csv"', '"cases.csv", "more.csv"'))
    caplog.set_level(logging.INFO, "dermedge")
    (tmp_path / "more.csv").write_bytes((tmp_path / "cases.csv").read_bytes())
    read(tmp_path)
    assert caplog.messages == []
    (tmp_path / "more.csv").write_text("other", encoding="utf-8")
    read(tmp_path)
    assert caplog.messages == ["cases.csv is read; more.csv beside it differs and is left out"]
