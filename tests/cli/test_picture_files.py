"""A folder stands for the pictures in it, in the order of their names."""

import json
from pathlib import Path

import pytest
from PIL import Image

from dermedge.picture_files import picture_files
from dermedge_runtime import InputRejected


def test_the_pictures_of_a_folder_by_name(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "c.tiff", "notes.txt", "a.png.heatmap.png", ".hidden.jpg", "._b.JPG"):
        (tmp_path / name).touch()
    (tmp_path / "inner.jpg").mkdir()
    (tmp_path / "inner.jpg" / "deep.jpg").touch()
    folder = [str(tmp_path / name) for name in ("a.png", "b.JPG", "c.tiff")]
    assert picture_files([str(tmp_path)]) == folder
    assert picture_files(["x.jpg", str(tmp_path), "no/such.png"]) == ["x.jpg", *folder, "no/such.png"]


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputRejected, match=r"holds no picture \(\.bmp, \.jfif, \.jpe"):
        picture_files([str(tmp_path)])


def test_infer_takes_a_folder(cli, models: Path, picture: Path, tmp_path: Path) -> None:
    for number in range(11):
        Image.open(picture).rotate(30 * number).save(tmp_path / f"{number:02}.jpg")
    (tmp_path / "05.jpg").write_bytes(b"text")
    done = cli("infer", tmp_path, "--age", 55, "--json")
    assert done.returncode == 3
    records = json.loads(done.stdout)
    assert [Path(record["source"]).name for record in records] == [f"{number:02}.jpg" for number in range(11)]
    assert [number for number, record in enumerate(records) if "error" in record] == [5]
    single = json.loads(cli("infer", tmp_path / "10.jpg", "--age", 55, "--json").stdout)
    assert records[10]["probabilities"] == pytest.approx(single["probabilities"], abs=1e-5)


def test_a_folder_of_one_picture_still_gives_a_list(cli, models: Path, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "only.jpg").write_bytes(picture.read_bytes())
    assert len(json.loads(cli("infer", tmp_path, "--json").stdout)) == 1


def test_an_empty_folder_is_3(cli, models: Path, tmp_path: Path) -> None:
    done = cli("infer", tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "holds no picture" in done.stderr
    assert "Traceback" not in done.stderr
