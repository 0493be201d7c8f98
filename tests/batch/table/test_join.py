"""A row goes to the file that it names, and to no other on a guess."""

import unicodedata
from pathlib import Path

import pytest
from batch.pictures import folder_of
from make_tiny_model import AGE, SEX

from dermedge.batch.table.find_columns import TableColumns
from dermedge.batch.table.join import Join
from dermedge.batch.table.patient_table import PatientTable
from dermedge.batch.table.read_table import TableFile
from dermedge.batch.walk import FoundFile, Walk
from dermedge_runtime import InputRejected
from dermedge_runtime.inputs.clinical import ClinicalSchema

SCHEMA = ClinicalSchema((AGE,), (SEX,))


def joined(
    tmp_path: Path, rows: list[tuple[str, ...]], files: list[str], *, recursive: bool = True
) -> tuple[Join, dict[str, FoundFile]]:
    table = tmp_path / "p.csv"
    table.write_text("\n".join(["image,age,pid", *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    folder = folder_of(tmp_path / "pics", *files)
    columns = TableColumns("image", {"age": "age"}, "pid")
    join = Join(PatientTable(TableFile(table), columns, SCHEMA))
    found = {file.relative: file for file in Walk([str(folder)], recursive)}
    for file in found.values():
        join.count(file)
    return join, found


def ids(join: Join, found: dict[str, FoundFile]) -> dict[str, str | None]:
    rows = {name: join.row_of(file) for name, file in found.items()}
    return {name: None if row is None else join.table.id_of(row) for name, row in rows.items()}


@pytest.mark.parametrize(
    "cell",
    ["a", "a.jpg", "A.JPG", " a ", "pics/a.jpg", "pics\\a", "./a.jpg", "/elsewhere/pics/a.jpg", "C:\\x\\pics\\a.jpg"],
)
def test_a_name_with_or_without_ending_and_folders(tmp_path: Path, cell: str) -> None:
    join, found = joined(tmp_path, [(cell, "50", "p1"), ("c", "1", "p2")], ["a.jpg", "b.jpg"])
    assert ids(join, found) == {"a.jpg": "p1", "b.jpg": None}
    assert join.sentences() == [
        "1 row of p.csv fit no file: c.",
        f"1 picture without a row in p.csv, whose values are unknown: {tmp_path}/pics/b.jpg.",
    ]


@pytest.mark.parametrize("cell", ["a.png", "b/a.jpg", "aa", "a.jpg.bak", "/other/a.jpg", "", "picsa.jpg"])
def test_another_name_is_another_picture(tmp_path: Path, cell: str) -> None:
    join, found = joined(tmp_path, [(cell, "50", "p1")], ["a.jpg"])
    assert ids(join, found) == {"a.jpg": None}


@pytest.mark.parametrize(("written", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_composed_and_decomposed_names_are_one(tmp_path: Path, written: str, stored: str) -> None:
    cell, name = unicodedata.normalize(written, "Müller é"), unicodedata.normalize(stored, "Müller é")
    assert cell != name
    join, found = joined(tmp_path, [(cell, "50", "p1")], [f"{name}.jpg"])
    assert list(ids(join, found).values()) == ["p1"]


def test_folders_tell_equal_names_apart(tmp_path: Path) -> None:
    rows = [("one/a.jpg", "1", "p1"), ("two/a.jpg", "2", "p2")]
    join, found = joined(tmp_path, rows, ["one/a.jpg", "two/a.jpg", "three/a.jpg"])
    assert ids(join, found) == {"one/a.jpg": "p1", "two/a.jpg": "p2", "three/a.jpg": None}


def test_the_more_exact_name_wins(tmp_path: Path) -> None:
    rows = [("a", "1", "any"), ("a.png", "2", "png"), ("deep/a.png", "3", "deep")]
    join, found = joined(tmp_path, rows, ["a.png", "deep/a.png"])
    assert ids(join, found) == {"a.png": "png", "deep/a.png": "deep"}


def test_two_rows_that_differ_are_nobodys(tmp_path: Path) -> None:
    join, found = joined(tmp_path, [("a", "1", "p1"), ("b", "5", "p5"), ("a", "2", "p1")], ["a.jpg", "b.jpg"])
    with pytest.raises(
        InputRejected, match=r"a\.jpg is named twice, with different values: row 2 of p\.csv and row 4 of p\.csv"
    ):
        join.row_of(found["a.jpg"])
    assert join.table.id_of(join.row_of(found["b.jpg"])) == "p5"
    assert join.sentences() == [
        f"1 picture named by several rows of p.csv that differ, and rejected: {tmp_path}/pics/a.jpg."
    ]


def test_two_rows_that_agree_are_one(tmp_path: Path) -> None:
    join, found = joined(tmp_path, [("a", "1", "p1"), ("a", "1", "p1")], ["a.jpg"])
    assert ids(join, found) == {"a.jpg": "p1"}
    assert join.sentences() == []


@pytest.mark.parametrize("files", [["a.jpg", "a.png"], ["one/a.jpg", "two/a.jpg"]])
def test_a_row_for_two_files_is_for_none(tmp_path: Path, files: list[str]) -> None:
    join, found = joined(tmp_path, [("a", "1", "p1")], files)
    for file in found.values():
        with pytest.raises(InputRejected, match=r"row 2 of p\.csv fits 2 files, .* among them"):
            join.row_of(file)
    assert join.sentences() == ["1 row of p.csv fit several files, which are rejected: a."]


def test_the_first_ten_are_named(tmp_path: Path) -> None:
    join, _ = joined(tmp_path, [(f"x{number:02}", "1", "p") for number in range(13)], ["a.jpg"])
    assert join.sentences()[0] == (
        "13 rows of p.csv fit no file: x00, x01, x02, x03, x04, x05, x06, x07, x08, x09 and 3 more."
    )


def test_a_large_table_takes_little_memory_and_time(tmp_path: Path) -> None:
    import tracemalloc

    rows = 20_000
    path = tmp_path / "p.csv"
    path.write_text("image,age,pid\n" + "".join(f"p{n:07}.jpg,{n % 90},{n}\n" for n in range(rows)))
    columns = TableColumns("image", {"age": "age"}, "pid")
    table = PatientTable(TableFile(path), columns, SCHEMA)
    import pyarrow

    held = pyarrow.total_allocated_bytes()
    tracemalloc.start()
    again = PatientTable(TableFile(path), columns, SCHEMA)
    taken = tracemalloc.get_traced_memory()[0] + pyarrow.total_allocated_bytes() - held
    tracemalloc.stop()
    assert taken / rows < 500
    assert [again.rows_of(FoundFile(f"x/p{n:07}.jpg", "")) for n in (0, 777, rows - 1)] == [[0], [777], [rows - 1]]
    assert len(table) == rows
