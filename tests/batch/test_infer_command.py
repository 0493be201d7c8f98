"""`dermedge infer` on folders with a table of patients: what it prints, writes, warns of and refuses."""

import csv
import hashlib
import json
from pathlib import Path

import pytest
from batch.pictures import folder_of
from make_tiny_model import TINY

from dermedge_runtime import Classifier, model_in_the_box


@pytest.fixture
def pics(here: Path) -> Path:
    """Five pictures, one of them broken, in two folders, and a table about most of them."""
    folder = folder_of(here / "pics", "a.jpg", "b.png", "c.png", "in/a.jpg", "in/d.png")
    (folder / "c.png").write_bytes(b"text")
    (here / "p.csv").write_text(
        "Photo;Alter;sex;Fall\npics/a;50;male;=7\nb;;female;2\nin/a.jpg;200;;3\nx.jpg;5;male;4\n", encoding="utf-8"
    )
    (here / "nr.csv").write_text("Nr;Alter\n1;50\n")
    return folder


TABLE = ("--table", "p.csv", "--columns", "image=Photo")


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_picture_has_its_own_patient(infer, pics: Path, here: Path) -> None:
    done = infer("pics", "--recursive", *TABLE, "--id", "Fall", "--out", "r.csv", "--site", "back")
    assert done.returncode == 3
    rows = {row["file"].removeprefix("pics/"): row for row in rows_in(here / "r.csv")}
    assert list(rows) == ["a.jpg", "b.png", "c.png", "in/a.jpg", "in/d.png"]
    model = Classifier(TINY, "cpu")
    for name, clinical in {"a.jpg": {"age": 50, "sex": "male"}, "b.png": {"sex": "female"}, "in/d.png": {}}.items():
        alone, row = model.predict(pics / name, site="back", **clinical), rows[name]
        assert float(row["probability_mel"]) == pytest.approx(alone.probabilities["mel"], abs=1e-6)
        assert (row["label"], row["error"]) == (alone.label, "")
        assert row["unknown"] == "; ".join(alone.unknown)
        assert row["sha256"] == hashlib.sha256((pics / name).read_bytes()).hexdigest()
        assert (row["given_site"], row["model_sha256"]) == ("back", model.sha256)
    assert [row["id"] for row in rows.values()] == ["'=7", "2", "", "3", ""]
    assert rows["in/a.jpg"]["error"].startswith("row 4 of p.csv: age must be a number from 0 to 120 years, got 200")
    assert "no picture of a known format" in rows["c.png"]["error"] and rows["c.png"]["label"] == ""
    told = done.stderr.splitlines()
    assert "p.csv (4 rows, utf-8, semicolons between the columns): image in Photo, age in Alter, sex in sex" in told
    assert "dermedge: 1 row of p.csv fit no file: x.jpg." in told
    assert "dermedge: 2 pictures without a row in p.csv, whose values are unknown: pics/c.png, pics/in/d.png." in told
    assert "5 pictures in" in done.stdout and "rejected   2" in done.stdout and "r.csv: 5 rows" in done.stdout


def test_printed_it_says_the_same(infer, pics: Path) -> None:
    done = infer("pics", "--recursive", *TABLE, "--id", "Fall", "--json")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 3
    assert [record["file"] for record in records] == [
        f"pics/{n}" for n in ("a.jpg", "b.png", "c.png", "in/a.jpg", "in/d.png")
    ]
    assert [record["id"] for record in records] == ["=7", "2", None, "3", None]
    assert records[0]["given"] == {"age": 50.0, "sex": "male"} and "error" in records[3]
    text = infer("pics", "--recursive", *TABLE).stdout
    assert "given: age 50, sex male; unknown: site" in text
    one = infer("pics/b.png", *TABLE).stdout
    assert "pics/b.png: " in one and "given: sex female" in one


def test_strict_refuses_before_anything_is_predicted(infer, pics: Path, here: Path) -> None:
    done = infer("pics", "--recursive", *TABLE, "--strict", "--out", "r.csv")
    assert (done.returncode, done.stdout) == (3, "")
    assert "fit no file: x.jpg." in done.stderr and "because --strict was asked for." in done.stderr
    assert not (here / "r.csv").exists()


def test_a_table_that_fits_is_quiet_and_strict_is_content(infer, pics: Path, here: Path) -> None:
    (here / "q.csv").write_text("image,age,sex,site\na.jpg,5,male,face\nb.png,6,female,back\n")
    (pics / "c.png").unlink()
    done = infer("pics", "--table", "q.csv", "--strict", "--out", "r.jsonl")
    assert done.returncode == 0
    assert [line for line in done.stderr.splitlines() if line.startswith("dermedge:")] == [
        "dermedge: pics: 1 folder inside was not opened."
    ]
    assert [json.loads(line)["given_site"] for line in (here / "r.jsonl").read_text().splitlines()] == ["face", "back"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("pics", "--out", "r.txt"), 2, "--out writes .csv, .jsonl, .parquet, .xlsx; r.txt ends in none of them"),
        (("pics", "--strict"), 2, "--strict is about the table of patients; name it with --table."),
        (("pics", "--id", "x"), 2, "--id is about the table of patients"),
        (("pics", "--columns", "age"), 2, "--columns takes NAME=COLUMN, such as image=Photo,age=Alter, got 'age'."),
        (("pics", "--columns", "age=a,age=b"), 2, "--columns names age twice."),
        (("pics", "--overwrite"), 2, "--overwrite begins the file of --out anew"),
        (("pics", "--overlays", "o"), 2, "--overlays says where --explain writes"),
        (("--out", "r.csv"), 2, "Name the pictures, or the folder that they are in"),
        (("-", "--out", "r.csv"), 2, "Standard input (-) is one picture without a name"),
        (("pics", "--workers", "0"), 2, "--workers takes a whole number of at least 1"),
        (("pics", "--report", "r.pdf"), 2, "--report writes an HTML page"),
        (("pics", "--table", "none.csv"), 3, "Cannot read the table none.csv: No such file or directory."),
        (
            ("pics", "--table", "nr.csv"),
            3,
            "has no column with the names of the pictures; its columns are Nr, Alter. Name it: --columns image=COLUMN",
        ),
        (("pics", *TABLE, "--age", "5"), 2, "age is given for all patients, and p.csv has it in the column Alter"),
        (("pics", "--age", "500", "--out", "r.csv"), 3, "age must be a number from 0 to 120 years"),
        (("pics", "--table", "p.csv", "--out", "p.csv"), 2, "p.csv is also an input"),
        (("pics/a.jpg", "--out", "p.csv/r.csv"), 1, "cannot be written: "),
    ],
)
def test_bad_input_is_one_sentence(
    infer, pics: Path, here: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    before = sorted(path.name for path in here.rglob("*"))
    done = infer(*arguments)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert words in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    assert sorted(path.name for path in here.rglob("*")) == before


def test_explanations_go_below_the_folder_as_the_pictures_lie_below_theirs(infer, pics: Path, here: Path) -> None:
    box = model_in_the_box("tiny")
    done = infer("pics", "--recursive", "--explain", "--overlays", "o", "--out", "r.csv", model=box)
    assert done.returncode == 3, done.stderr
    rows = rows_in(here / "r.csv")
    places = ["o/a.jpg.heatmap.png", "o/b.png.heatmap.png", "", "o/in/a.jpg.heatmap.png", "o/in/d.png.heatmap.png"]
    assert [row["overlay"] for row in rows] == places
    assert sorted(str(path.relative_to(here)) for path in (here / "o").rglob("*.png")) == sorted(filter(None, places))
    assert all(row["explanation"] for row in rows if row["label"])
    again = infer("pics", "--recursive", "--explain", "--overlays", "o", "--out", "r.csv", model=box)
    assert again.returncode == 3 and len(rows_in(here / "r.csv")) == 5


def test_the_page_shows_counts_and_the_worst_first(infer, pics: Path, here: Path) -> None:
    box = model_in_the_box("tiny")
    printed = infer("pics", "--recursive", "--report", "out/s.html", model=box)
    filed = infer("pics", "--recursive", "--report", "out/t.html", "--out", "r.csv", model=box)
    assert (printed.returncode, filed.returncode) == (3, 3)
    page = (here / "out" / "s.html").read_text()
    assert page == (here / "out" / "t.html").read_text()
    assert "<h1>5 pictures</h1>" in page and "4 answered, 1 rejected." in page
    assert page.count('href="../pics/') == 5 and 'href="../pics/in/a.jpg"' in page
    decisions = [row["decision"] for row in rows_in(here / "r.csv") if row["decision"]]
    order = [line.split('"badge ')[1].split('"')[0] for line in page.split("<tr>") if '"badge ' in line]
    assert order == sorted(decisions, key=["refer", "unsure", "routine"].index)
    infer("pics", "--recursive", "--report", "out/u.html", "--out", "r.csv", model=box)
    assert (here / "out" / "u.html").read_text() == page, "of rows that were read again"


def test_one_picture_alone_still_has_its_own_page(infer, pics: Path, here: Path) -> None:
    done = infer("pics/a.jpg", "--report", "one.html", model=model_in_the_box("tiny"))
    assert done.returncode == 0, done.stderr
    assert "Grad-CAM" in (here / "one.html").read_text()
