"""Tables come as text, whatever program wrote them; what cannot be told safely is refused."""

from pathlib import Path

import pandas as pd
import pytest

from dermedge.batch.table.read_table import TableFile
from dermedge_runtime import InputRejected

ROWS = [["image", "Alter", "Größe", "note"], ["a.jpg", "55", "1,5", "x; y"], ["b.jpg", "", "2", ""]]


def written(path: Path, delimiter: str, encoding: str, end: str = "\n") -> Path:
    quoted = [[f'"{cell}"' if set(cell) & set(",;|\t") else cell for cell in row] for row in ROWS]
    text = "".join(delimiter.join(row) + end for row in quoted)
    path.write_bytes(text.encode(encoding))
    return path


def cells(file: TableFile, *columns: str) -> list[list[str]]:
    frame = file.read(columns or file.columns)
    return [list(map(str, row)) for row in frame[list(columns or file.columns)].to_numpy()]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"], ids=["commas", "semicolons", "tabs", "bars"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_any_csv(tmp_path: Path, delimiter: str, encoding: str, end: str, caplog: pytest.LogCaptureFixture) -> None:
    file = TableFile(written(tmp_path / "p.csv", delimiter, encoding, end))
    assert list(file.columns) == ROWS[0]
    assert cells(file) == ROWS[1:]
    assert cells(file, "note", "image") == [["x; y", "a.jpg"], ["", "b.jpg"]]
    assert ("is read as Windows-1252" in caplog.text) == (encoding == "cp1252")


def test_excel_and_parquet_are_text_too(tmp_path: Path) -> None:
    frame = pd.DataFrame({"image": ["a", "b"], "age": [55, None], "n": [1, 2], "half": [0.5, 1.0], "7": ["x", "007"]})
    frame.to_excel(tmp_path / "p.xlsx", index=False)
    frame.to_parquet(tmp_path / "p.parquet")
    for name in ("p.xlsx", "p.parquet"):
        file = TableFile(tmp_path / name)
        assert list(file.columns) == list(frame.columns)
        assert cells(file, "image", "age", "n", "half", "7") == [
            ["a", "55", "1", "0.5", "x"],
            ["b", "", "2", "1", "007"],
        ]


def test_numbers_as_headers_and_a_column_twice(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("image,2024,age,age\na,x,1,2\n")
    file = TableFile(tmp_path / "p.csv")
    assert list(file.columns) == ["image", "2024", "age", "age"]
    assert cells(file, "image", "2024") == [["a", "x"]]


def test_short_lines_are_filled_and_long_ones_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("image,age,sex\na,5\nb,6,male\n")
    assert cells(TableFile(tmp_path / "p.csv")) == [["a", "5", ""], ["b", "6", "male"]]
    (tmp_path / "q.csv").write_text("image,age\na,5\nb,6,male\n")
    (tmp_path / "r.csv").write_text("image,age\na,5,\nb,6,\n")
    assert cells(TableFile(tmp_path / "r.csv")) == [["a", "5"], ["b", "6"]]
    with pytest.raises(InputRejected, match=r"Line 3 of q\.csv has 3 cells, and the header 2"):
        TableFile(tmp_path / "q.csv").read(["image"])


def test_one_column_alone(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("image\na.jpg\nb.jpg\n")
    assert cells(TableFile(tmp_path / "p.txt")) == [["a.jpg"], ["b.jpg"]]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.csv", None, "Cannot read the table .*none.csv: No such file or directory."),
        ("empty.csv", b" \n", "The table empty.csv is empty."),
        ("binary.csv", b"PK\x03\x04\0\0\0", "binary.csv is no text: save it as CSV in UTF-8, as .xlsx or as .parquet."),
        ("two.csv", b"image;a,b\nx;1,2\n", "parted by ',' or ';'"),
        ("broken.xlsx", b"text", "Cannot read the table broken.xlsx: "),
        ("broken.parquet", b"text", "Cannot read the table broken.parquet: "),
        ("folder.csv", "folder", "Cannot read the table .*folder.csv: Is a directory."),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, name: str, content: bytes | str | None, words: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    elif content is not None:
        (tmp_path / name).mkdir()
    with pytest.raises(InputRejected, match=words) as caught:
        TableFile(tmp_path / name)
    assert "\n" not in str(caught.value)
