"""Results are begun, gone on with, and finished; with other settings, columns or beside another writer they are not."""

import csv
import json
from pathlib import Path

import openpyxl
import pyarrow.parquet
import pytest

from dermedge.batch.results.results_file import ENDINGS, check_target, open_results
from dermedge.batch.results.settings import settings_path
from dermedge_runtime import DermedgeError, UsageError
from dermedge_runtime.result_row import NUMBER, TEXTS, Column, Row

COLUMNS = (
    Column("id"),
    Column("file"),
    Column("frame", NUMBER),
    Column("p", NUMBER),
    Column("why", TEXTS),
    Column("error"),
)
SETTINGS = {"--table": None, "SHA-256 of the model": "ab" * 32, "values of all patients": {"age": 5.0}}


def row(file: str, **more) -> Row:
    return {"id": None, "file": file, "frame": None, "p": 0.25, "why": ["a", "b c"], "error": None, **more}


def written(target: Path, *rows: Row, finish: bool = True, **more) -> list[Row]:
    earlier: list[Row] = []
    with open_results(target, COLUMNS, more.pop("settings", SETTINGS), earlier=earlier.append, **more) as results:
        results.append([each for each in rows if not results.index.has(str(each["file"]), each["frame"])])
        if finish:
            results.finish()
    return earlier


def read(target: Path) -> list[dict]:
    ending = target.suffix
    if ending == ".csv":
        with target.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    if ending == ".jsonl":
        return [json.loads(line) for line in target.read_text().splitlines()]
    if ending == ".parquet":
        return pyarrow.parquet.read_table(target).to_pylist()
    sheet = openpyxl.load_workbook(target)["results"]
    names, *values = sheet.iter_rows(values_only=True)
    return [dict(zip(names, each, strict=True)) for each in values]


@pytest.mark.parametrize("ending", ENDINGS)
def test_gone_on_with_it_has_every_row_once(tmp_path: Path, ending: str) -> None:
    target = tmp_path / f"r{ending}"
    frames = [row("m.dcm", frame=number) for number in (1, 2, 3)]
    assert written(target, row("a.jpg"), *frames[:2], finish=ending in (".csv", ".jsonl")) == []
    assert len(written(target, row("a.jpg"), row("=b\n.jpg", p=None), *frames)) == 3
    assert len(written(target, row("a.jpg"), row("=b\n.jpg"), *frames)) == 5
    assert not (tmp_path / f"r{ending}.lock").exists()
    found = read(target)
    assert [each["file"] for each in found][:3] == ["a.jpg", "m.dcm", "m.dcm"]
    assert len(found) == 5
    assert [str(float(each["frame"])) for each in found if each["file"] == "m.dcm"] == ["1.0", "2.0", "3.0"]


@pytest.mark.parametrize("ending", [".csv", ".xlsx", ".parquet"])
@pytest.mark.parametrize("text", ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1"])
def test_no_cell_is_a_formula(tmp_path: Path, ending: str, text: str) -> None:
    target = tmp_path / f"r{ending}"
    written(target, row("a.jpg", id=text, error=text, p=-0.5))
    [found] = read(target)
    assert found["id"].startswith(("'", "\\t")) and found["error"] == found["id"]
    assert float(found["p"]) == -0.5


def test_a_csv_row_is_one_line_whatever_is_in_it(tmp_path: Path) -> None:
    target = tmp_path / "r.csv"
    names = ["a\nb.jpg", 'q".jpg', "c,d.jpg", "\udcff.jpg", "\r.jpg", "\u2028.jpg", "ä.jpg"]
    written(target, *(row(name) for name in names))
    assert target.read_bytes().count(b"\n") == len(names) + 1
    assert len(read(target)) == len(names)
    assert len(written(target, *(row(name) for name in names))) == len(names)
    assert len(read(target)) == len(names)


def test_json_lines_hold_names_and_lists_as_they_are(tmp_path: Path) -> None:
    written(tmp_path / "r.jsonl", row("a\n.jpg", id="=1"))
    assert read(tmp_path / "r.jsonl") == [row("a\n.jpg", id="=1")]


def test_other_settings_are_told(tmp_path: Path) -> None:
    target = tmp_path / "r.csv"
    written(target, row("a.jpg"))
    before = target.read_bytes()
    others = {"--table": "p.csv", "SHA-256 of the model": "ab" * 32, "values of all patients": {"age": 6.0}}
    with pytest.raises(
        UsageError, match=r"--table was absent and is p\.csv; values of all patients was .*5.* and is .*6"
    ):
        written(target, row("b.jpg"), settings=others)
    assert target.read_bytes() == before
    assert written(target, row("b.jpg"), settings=others, overwrite=True) == []
    assert [each["file"] for each in read(target)] == ["b.jpg"]


def test_a_file_of_somebody_else_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "r.csv"
    target.write_text("name,age\nx,1\n")
    with pytest.raises(
        DermedgeError, match=r"r\.csv is there already, and without r\.csv\.settings\.json nobody can tell"
    ):
        written(target, row("a.jpg"))
    settings_path(target).write_text(json.dumps(SETTINGS))
    with pytest.raises(UsageError, match=r"r\.csv has other columns than this model's results"):
        written(target, row("a.jpg"))
    assert target.read_text() == "name,age\nx,1\n"
    settings_path(target).write_text("{")
    with pytest.raises(DermedgeError, match=r"settings\.json is damaged"):
        written(target, row("a.jpg"))


def test_rows_that_somebody_has_changed_are_told_with_their_line(tmp_path: Path) -> None:
    target = tmp_path / "r.csv"
    written(target, row("a.jpg"), row("b.jpg"))
    lines = target.read_text().splitlines(keepends=True)
    target.write_text("".join([*lines[:2], "b.jpg;1\n"]))
    with pytest.raises(DermedgeError, match=r"Line 3 of .*r\.csv is no row of these results"):
        written(target, row("c.jpg"))


def test_one_writer_at_a_time_and_the_other_is_told_who(tmp_path: Path) -> None:
    import subprocess
    import sys

    target = tmp_path / "r.csv"
    holder = (
        "import sys; from pathlib import Path; from dermedge.batch.results.owner_lock import only_writer\n"
        "with only_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(target)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(DermedgeError, match=rf"r\.csv is being written by process {other.pid} on .*, since 20"):
            written(target, row("a.jpg"))
        assert not target.exists()
        other.kill()
        other.wait()
        assert (tmp_path / "r.csv.lock").exists()
        written(target, row("a.jpg"))
    assert not (tmp_path / "r.csv.lock").exists()


def test_a_table_without_its_journal_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "r.parquet"
    written(target, row("a.jpg"))
    (tmp_path / "r.parquet.journal.jsonl").unlink()
    with pytest.raises(DermedgeError, match=r"is there, but not r\.parquet\.journal\.jsonl, from which it is made"):
        written(target, row("b.jpg"))


@pytest.mark.parametrize(
    ("name", "words"),
    [("r.txt", "ends in none of them"), ("r", "ends in none of them."), ("r.jsnl", r"did you mean \.jsonl\?")],
)
def test_other_endings_are_refused(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_target(tmp_path / name)
    (tmp_path / "r.csv").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        check_target(tmp_path / "r.csv")
