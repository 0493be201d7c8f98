"""A folder stands for the pictures in it, in the order of their names."""

import json
from pathlib import Path

import pytest
from PIL import Image

from dermedge_runtime import UsageError
from dermedge_runtime.commands.picture_files import picture_files
from dermedge_runtime.commands.shown_names import shown


def test_the_pictures_of_a_folder_by_name(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.tiff", "notes.txt", "a.png.heatmap.png", ".hidden.jpg", "._b.JPG", "Thumbs.db"):
        (tmp_path / name).touch()
    (tmp_path / "inner.jpg").mkdir()
    (tmp_path / "inner.jpg" / "deep.jpg").touch()
    (tmp_path / "lost.jpg").symlink_to("nowhere")
    folder = [str(tmp_path / name) for name in ("a.png", "b.JPG", "c.tiff")]
    files = picture_files(["x.jpg", str(tmp_path), "no/such.png", "-"])
    assert files.found == ["x.jpg", *folder, "no/such.png", "-"]
    assert files.without == []
    assert files.left_out == [
        f"{tmp_path}: 1 file is no picture that dermedge reads and was left out: notes.txt, 1 folder inside was not"
        " opened, 1 heat map (*.heatmap.png) was left out, 1 entry that is no file (a pipe or a broken link) was left"
        " out and 3 hidden files were left out."
    ]


@pytest.mark.parametrize("names", [["a.jpg"], ["a.JPEG", "b.PnG"]])
def test_a_folder_of_pictures_alone_needs_no_words(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert picture_files([str(tmp_path)]).left_out == []


def test_many_files_are_counted_and_five_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    for number in range(30):
        (tmp_path / f"{number:02}.heic").touch()
    [sentence] = picture_files([str(tmp_path)]).left_out
    assert "30 files are no pictures that dermedge reads and were left out: 00.heic, 01.heic" in sentence
    assert sentence.endswith("04.heic and 25 more.")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([], "; it is empty."),
        (["notes.txt"], ", only 1 .txt file."),
        (["a.HEIC", "b.heic", "c.gif", "x"], ", only 2 .heic files, 1 .gif file and 1 file. Convert them to JPEG"),
        (["a.jpg.heatmap.png", ".a.jpg"], ", only 1 heat map and 1 hidden file."),
    ],
)
def test_a_folder_without_pictures_says_what_it_holds(tmp_path: Path, names: list[str], words: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    files = picture_files([str(tmp_path)])
    [(folder, reason)] = files.without
    assert (files.found, folder) == ([], str(tmp_path))
    assert f"The folder {tmp_path} holds no picture (.avif, .bmp, .jfif, .jpe" in reason
    assert words in reason


def test_standard_input_is_one_picture() -> None:
    with pytest.raises(UsageError, match="holds one picture; name it once"):
        picture_files(["-", "a.jpg", "-"])


def test_names_that_would_steer_a_terminal_are_escaped() -> None:
    assert shown("a\x1b[2Jb\nc\udcff.jpg") == r"a\x1b[2Jb\nc\udcff.jpg"
    assert shown("Müller 3.05\u202fPM.png") == "Müller 3.05\u202fPM.png"


def test_infer_takes_a_folder(cli, models: Path, picture: Path, tmp_path: Path) -> None:
    for number in range(11):
        Image.open(picture).rotate(30 * number).save(tmp_path / f"{number:02}.jpg")
    (tmp_path / "05.jpg").write_bytes(b"text")
    done = cli("infer", tmp_path, "--age", 55, "--json")
    assert done.returncode == 3
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(record["file"]).name for record in records] == [f"{number:02}.jpg" for number in range(11)]
    assert [number for number, record in enumerate(records) if "error" in record] == [5]
    single = json.loads(cli("infer", tmp_path / "10.jpg", "--age", 55, "--json").stdout)
    assert records[10]["probabilities"] == pytest.approx(single["probabilities"], abs=1e-5)


def test_an_empty_folder_is_3(cli, models: Path, tmp_path: Path) -> None:
    done = cli("infer", tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "holds no picture" in done.stderr
    assert "Traceback" not in done.stderr
