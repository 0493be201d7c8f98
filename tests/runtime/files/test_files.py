"""Files appear whole or not at all; the cache folder is the platform's."""

import json
import os
import sys
from pathlib import Path

import pytest

from dermedge_runtime.errors import UsageError
from dermedge_runtime.files import atomic_path, cache_folder, refuse_overwriting, write_json, write_text


def test_new_file_appears_in_new_folders_and_alone(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "model.onnx"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"new")
        assert not target.exists()
        assert (temporary.parent, temporary.suffix) == (target.parent, ".tmp")
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("old", [None, b"old"])
def test_error_leaves_what_was_there(tmp_path: Path, old: bytes | None, error: type[BaseException]) -> None:
    target = tmp_path / "model.onnx"
    if old is not None:
        target.write_bytes(old)
    with pytest.raises(error, match="stop"), atomic_path(target) as temporary:
        temporary.write_bytes(b"half")
        raise error("stop")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([] if old is None else [old])


def test_success_replaces_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "note.txt"
    target.write_text("a long old text")
    write_text(target, "näw\nline\n")
    assert target.read_bytes() == "näw\nline\n".encode()
    assert list(tmp_path.iterdir()) == [target]


def test_a_rename_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise PermissionError("in use")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match="in use"):
        write_text(tmp_path / "note.txt", "text")
    assert list(tmp_path.iterdir()) == []


def test_json_is_indented_and_ends_with_a_newline(tmp_path: Path) -> None:
    target = tmp_path / "metrics.json"
    write_json(target, {"b": [1], "a": None})
    assert target.read_text().startswith('{\n  "b": [')
    assert target.read_text().endswith("}\n")
    assert json.loads(target.read_text()) == {"b": [1], "a": None}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_is_no_json_is_refused_and_keeps_the_old_file(tmp_path: Path, value: object) -> None:
    target = tmp_path / "metrics.json"
    target.write_text("{}")
    with pytest.raises((ValueError, TypeError)):
        write_json(target, {"loss": value})
    assert target.read_text() == "{}"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("spelling", ["a.jpg", "./b/../a.jpg", "link.jpg", "hard.jpg", "folder-link/a.jpg"])
def test_an_output_that_is_an_input_is_refused_however_it_is_spelled(tmp_path: Path, spelling: str) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"picture")
    (tmp_path / "b").mkdir()
    (tmp_path / "link.jpg").symlink_to(picture)
    (tmp_path / "hard.jpg").hardlink_to(picture)
    (tmp_path / "folder-link").symlink_to(tmp_path, target_is_directory=True)
    output = Path(f"{tmp_path}/{spelling}")
    with pytest.raises(UsageError, match=r"is also an input; name another file\.$"):
        refuse_overwriting(output, ["-", tmp_path / "absent.jpg", "nul\0", str(picture)])
    with pytest.raises(UsageError, match="is also an input"):
        refuse_overwriting(picture, [output])


def test_an_output_of_its_own_is_accepted(tmp_path: Path) -> None:
    picture, other = tmp_path / "a.jpg", tmp_path / "b.json"
    picture.write_bytes(b"same")
    other.write_bytes(b"same")
    refuse_overwriting(other, [picture])
    refuse_overwriting(tmp_path / "absent", [picture, tmp_path / "absent"])
    refuse_overwriting(Path("nul\0"), [picture])


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "home/.cache/dermedge"),
        ("linux", {"XDG_CACHE_HOME": "xdg"}, "xdg/dermedge"),
        ("linux", {"XDG_CACHE_HOME": ""}, "home/.cache/dermedge"),
        ("linux", {"LOCALAPPDATA": "local"}, "home/.cache/dermedge"),
        ("darwin", {}, "home/Library/Caches/dermedge"),
        ("darwin", {"XDG_CACHE_HOME": "xdg"}, "home/Library/Caches/dermedge"),
        ("win32", {}, "home/AppData/Local/dermedge"),
        ("win32", {"LOCALAPPDATA": "local"}, "local/dermedge"),
        ("linux", {"DERMEDGE_CACHE": "mine", "XDG_CACHE_HOME": "xdg"}, "mine"),
        ("win32", {"DERMEDGE_CACHE": "mine", "LOCALAPPDATA": "local"}, "mine"),
        ("darwin", {"DERMEDGE_CACHE": ""}, "home/Library/Caches/dermedge"),
    ],
)
def test_cache_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, variables: dict[str, str], expected: str
) -> None:
    for name in ("DERMEDGE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value) if value else "")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == tmp_path / expected
    assert not cache_folder().exists()
