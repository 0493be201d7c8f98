"""Pictures of folders: sorted within each folder, links that go round in circles opened once, nothing unseen."""

import os
from pathlib import Path

import pytest
from batch.pictures import folder_of

from dermedge.batch.walk import Walk
from dermedge_runtime import DermedgeError, UsageError


def test_folders_inside_folders_only_where_asked_for(tmp_path: Path) -> None:
    folder_of(tmp_path, "b.jpg", "a.jpg", "z/c.jpg", "m/n/d.jpg", "m/a.jpg")
    (tmp_path / "m" / "notes.txt").touch()
    flat, deep = Walk([str(tmp_path)]), Walk([str(tmp_path)], recursive=True)
    assert [file.relative for file in flat] == ["a.jpg", "b.jpg"]
    assert "2 folders inside were not opened" in flat.left_out[str(tmp_path)].sentence("x")
    found = list(deep)
    assert [file.relative for file in found] == ["a.jpg", "b.jpg", "m/a.jpg", "m/n/d.jpg", "z/c.jpg"]
    assert [file.path for file in found] == [str(tmp_path / file.relative) for file in found]
    left = deep.left_out[str(tmp_path)].sentence("x")
    assert left == "x: 1 file is no picture that dermedge reads and was left out: notes.txt."


@pytest.mark.parametrize("named", ["pics", "pics/", "./pics"])
def test_paths_are_as_they_were_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "pics", "a.jpg", "in/b.jpg")
    found = list(Walk([named, "single.jpg"], recursive=True))
    assert [file.relative for file in found] == ["a.jpg", "in/b.jpg", "single.jpg"]
    assert [file.path for file in found] == [
        os.path.join(named, "a.jpg"),
        os.path.join(named, "in/b.jpg"),
        "single.jpg",
    ]


def test_a_folder_that_holds_itself_is_opened_once(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.jpg", "in/b.jpg")
    (tmp_path / "in" / "up").symlink_to(tmp_path)
    (tmp_path / "in" / "self").symlink_to(".")
    (tmp_path / "twin").symlink_to("in")
    walk = Walk([str(tmp_path)], recursive=True)
    assert [file.relative for file in walk] == ["a.jpg", "in/b.jpg", "twin/b.jpg"]
    assert "inside are some that hold them and were not opened" in walk.left_out[str(tmp_path)].sentence("x")


def test_a_folder_without_a_picture_is_told_in_its_place(tmp_path: Path) -> None:
    folder_of(tmp_path / "full", "a.jpg")
    (tmp_path / "empty").mkdir()
    first, second = Walk([str(tmp_path / "empty"), str(tmp_path / "full")])
    assert "holds no picture" in first.refused and first.path == str(tmp_path / "empty")
    assert (second.relative, second.refused) == ("a.jpg", "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_must_not_be_read_is_told(tmp_path: Path) -> None:
    folder_of(tmp_path, "a.jpg", "in/b.jpg")
    (tmp_path / "in").chmod(0)
    _, refused = Walk([str(tmp_path)], recursive=True)
    assert "Cannot read the folder" in refused.refused


def test_a_folder_that_is_gone_ends_everything(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "pics", "a.jpg", "in/b.jpg")
    walk = Walk([str(folder)], recursive=True)
    coming = iter(walk)
    assert next(coming).relative == "a.jpg"
    folder.rename(tmp_path / "away")
    with pytest.raises(DermedgeError, match=r"pics is gone\. Once it is back, the same command goes on"):
        list(coming)


@pytest.mark.parametrize(
    ("arguments", "recursive", "twice"),
    [
        (["p", "p"], False, True),
        (["p", "./p/"], True, True),
        (["p", "p/a.jpg"], False, True),
        (["p/a.jpg", "p"], False, True),
        (["a.jpg", "./a.jpg"], False, True),
        (["p", "p/in"], True, True),
        (["p", "link"], True, True),
        (["p", "p/in"], False, False),
        (["p", "p/in/b.jpg"], False, False),
        (["p", "p2"], True, False),
    ],
)
def test_no_picture_has_two_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], recursive: bool, twice: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path, "a.jpg", "p/a.jpg", "p/in/b.jpg", "p2/a.jpg")
    (tmp_path / "link").symlink_to("p/in")
    walk = Walk(arguments, recursive)
    if twice:
        with pytest.raises(UsageError, match=r"is named twice, for it is in .* too; name it once"):
            walk.require_each_once()
    else:
        walk.require_each_once()
    found = [os.path.realpath(file.path) for file in walk]
    assert (len(found) != len(set(found))) == twice


def test_only_the_folders_that_are_open_are_in_memory(tmp_path: Path) -> None:
    for folder in range(30):
        folder_of(tmp_path / f"{folder:02}", "a.jpg")
    coming = iter(Walk([str(tmp_path)], recursive=True))
    next(coming)
    folder_of(tmp_path / "29", "new.jpg")
    assert [file.relative for file in coming][-1] == "29/new.jpg", "the last folder is read when its turn comes"
