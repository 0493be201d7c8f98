"""Files of embeddings: three formats that say the same, and every fault in a sentence that names it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dermedge.data.given_embeddings import read_embeddings
from dermedge.data.samples import Sample
from dermedge_runtime.errors import InputRejected, UsageError

NAMES = ["a", "0012", "NA"]
VALUES = np.array([[0.1, 1e-7, 3], [-1, 2.5, 1e30], [0, 0, 0]], dtype=np.float32)
TABLE = pd.DataFrame({"x": VALUES[:, 0], "image": NAMES, "y": VALUES[:, 1], "z": VALUES[:, 2]})


def sample(name: str) -> Sample:
    return Sample(name, "lesion", Path("p.jpg"), 0, {})


def test_all_formats_say_the_same(tmp_path):
    np.savez_compressed(tmp_path / "e.npz", image=np.array(NAMES), embedding=VALUES.astype(np.float64))
    TABLE.to_csv(tmp_path / "e.CSV", index=False)
    TABLE.to_parquet(tmp_path / "e.parquet", index=False)
    asked = [sample(name) for name in ("2024/NA.JPG", "a", "x\\0012.png")]
    for name in ("e.npz", "e.CSV", "e.parquet"):
        found = read_embeddings(tmp_path / name)
        assert found.size == 3 and found.values.dtype == np.float32
        np.testing.assert_array_equal(found.of(asked), VALUES[[2, 0, 1]])
    assert read_embeddings(tmp_path / "e.npz").of([]).shape == (0, 3)


def npz(**arrays) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        np.savez(folder / "e.npz", **arrays)
        return folder / "e.npz"

    return write


def text(content: str, name: str = "e.csv") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(content, encoding="utf-8")
        return folder / name

    return write


def parquet(table: pd.DataFrame) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        table.to_parquet(folder / "e.parquet")
        return folder / "e.parquet"

    return write


TWO = np.array(["a", "b"])
FAULTS = {
    "no file": (lambda folder: folder / "no.npz", "cannot be read: No such file"),
    "a folder": (lambda folder: (folder / "d.npz").mkdir() or folder / "d.npz", "cannot be read: Is a directory"),
    "no zip": (text("x", "e.npz"), r"are no whole \.npz file: it is none that numpy\.savez writes\. Save them again"),
    "semicolons": (text("image;x\na;1\n"), "are kept apart by ';'. Save it with commas"),
    "tabs": (text("image\tx\na\t1\n"), "are kept apart by tabs"),
    "pickled names": (
        npz(image=TWO.astype(object), embedding=VALUES[:2]),
        r"holds Python objects\. .* image\.astype\(str\)",
    ),
    "no names": (npz(embedding=VALUES), r"has no array image \(found: embedding\)"),
    "no values": (npz(image=TWO), r"has no array embedding \(found: image\)"),
    "numbers as names": (npz(image=np.arange(2), embedding=VALUES[:2]), r"array image .* is int64 \[2\]; it must be"),
    "a single row": (npz(image=TWO, embedding=VALUES[0]), r"array embedding .* is float32 \[3\]; it must be"),
    "other lengths": (npz(image=TWO, embedding=VALUES), "names 2 pictures in image and has 3 rows in embedding"),
    "nothing of each": (npz(image=TWO, embedding=VALUES[:2, :0]), "has no number beside the names"),
    "no column image": (text("name,x\na,1\n"), r"has no column image \(found: name, x\)"),
    "an empty table": (text(""), "are no whole .csv file: No columns"),
    "no numbers": (text("image\na\nb\n"), "has no number beside the names"),
    "a word": (text("image,x,y\na,1,2\nb,3,four\n"), "has 'four' as number 2 of b: every value must be"),
    "an empty cell": (text("image,x,y\na,1,2\nb,,4\n"), "has '' as number 1 of b"),
    "a short row": (text("image,x,y\na,1\n"), "as number 2 of a"),
    "a long row": (text("image,x,y\na,1,2,3\n"), "are no whole .csv file"),
    "infinity": (npz(image=TWO, embedding=np.array([[1.0], [np.inf]])), "has 'inf' as number 1 of b"),
    "too large": (text("image,x\na,1e300\n"), r"has '1e\+300' as number 1 of a"),
    "truth": (text("image,x\na,True\n"), "has 'True' as number 1 of a"),
    "an index": (text(",image,x\n0,a,1\n"), "Column 1 of .* has no name: is it an index"),
    "two rows": (text("image,x\na,1\nb,2\nf/a.jpg,3\n"), r"more than one row of a \(1 picture\)"),
    "lists": (parquet(pd.DataFrame({"image": ["a"], "e": [[1.0, 2.0]]})), r"has '\[1\. 2\.\]' as number 1 of a"),
    "no name": (parquet(pd.DataFrame({"image": ["a", None], "x": [1.0, 2.0]})), "Row 2 of .* names no picture"),
}


@pytest.mark.parametrize(("write", "words"), FAULTS.values(), ids=FAULTS)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(tmp_path, write, words):
    with pytest.raises(InputRejected, match=words) as refused:
        read_embeddings(write(tmp_path))
    assert str(refused.value).count("\n") == 0 and str(tmp_path) in str(refused.value)


def test_an_unknown_ending_is_refused():
    with pytest.raises(UsageError, match=r"ends in \.npz, \.csv, \.parquet, got e\.pt"):
        read_embeddings(Path("e.pt"))


def test_pictures_without_an_embedding_or_a_name_of_their_own_are_named(tmp_path):
    given = read_embeddings(text("image,x\na,1\nb,2\n")(tmp_path))
    with pytest.raises(InputRejected, match=r"^4 of 5 pictures have no embedding in .*e\.csv: d, e, f, \.\.\.\. Add"):
        given.of([sample(name) for name in "adefg"])
    with pytest.raises(InputRejected, match=r"^1 name of the data stand for several pictures .*: a\."):
        given.of([sample(name) for name in ("1/a.jpg", "2/a.jpg", "b")])
