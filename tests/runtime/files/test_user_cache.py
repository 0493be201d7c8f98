"""The cache folder in surroundings without a home, a user's entry, or with variables that say nothing usable."""

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from dermedge_runtime.errors import UsageError
from dermedge_runtime.files import cache_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="users and permissions of POSIX")


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DERMEDGE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", os.fspath(tmp_path / "tmp"))
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.fixture
def no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", absent)


@pytest.fixture
def instead(tmp_path: Path) -> Path:
    return tmp_path / "tmp" / f"dermedge-{os.getuid()}"


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_without_home_it_is_a_folder_of_ones_own(monkeypatch, platform, no_user, instead) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert cache_folder() == instead == cache_folder()
    assert stat.S_IMODE(instead.stat().st_mode) == 0o700
    instead.chmod(0o777)
    assert cache_folder() == instead and stat.S_IMODE(instead.stat().st_mode) == 0o700


@pytest.mark.parametrize("home", ["", " ", "relative"])
def test_a_home_that_is_none(monkeypatch, home, instead) -> None:
    monkeypatch.setenv("HOME", home)
    assert cache_folder() == instead


@pytest.mark.parametrize("writable", [True, False])
def test_the_root_as_home(monkeypatch, instead, writable) -> None:
    monkeypatch.setenv("HOME", "/")
    monkeypatch.setattr(os, "access", lambda path, mode: writable)
    assert cache_folder() == (Path("/.cache/dermedge") if writable else instead)


@pytest.mark.parametrize("trap", ["link", "file", "another user's"])
def test_a_folder_of_somebody_else_is_not_taken(monkeypatch, tmp_path, no_user, instead, trap) -> None:
    if trap == "link":
        (tmp_path / "elsewhere").mkdir()
        instead.symlink_to(tmp_path / "elsewhere")
    elif trap == "file":
        instead.write_bytes(b"")
    else:
        instead.mkdir()
        uid = os.getuid()
        monkeypatch.setattr(os, "getuid", lambda: uid + 1)
        instead.rename(instead.with_name(f"dermedge-{uid + 1}"))
    found = cache_folder()
    assert found.name.startswith("dermedge-") and found.parent == instead.parent
    assert found not in (instead, instead.with_name(f"dermedge-{os.getuid()}"))
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert cache_folder() == found, "the same for the whole process"


def test_without_any_temporary_folder_there_is_still_an_answer(monkeypatch, no_user) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.setattr("tempfile.gettempdir", none)
    monkeypatch.setattr(Path, "mkdir", lambda self, **options: None)
    assert cache_folder().name.startswith("dermedge-")


def test_a_home_in_our_variable_is_expanded(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HOME", os.fspath(tmp_path))
    monkeypatch.setenv("DERMEDGE_CACHE", "~/mine")
    assert cache_folder() == tmp_path / "mine"


@pytest.mark.parametrize("text", ["~/mine", "~nobody-of-this-name/mine"])
def test_a_home_in_our_variable_that_nobody_knows_is_one_sentence(monkeypatch, no_user, text) -> None:
    monkeypatch.setenv("DERMEDGE_CACHE", text)
    with pytest.raises(UsageError, match=r"^DERMEDGE_CACHE is ~.*; name a folder from / on\.$"):
        cache_folder()


def test_a_relative_path_counts_from_here_in_our_variable_and_not_at_all_in_that_of_xdg(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", os.fspath(tmp_path / "home"))
    for relative in ("cache", "~/cache", "./cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", relative)
        assert cache_folder() == tmp_path / "home" / ".cache" / "dermedge"
    monkeypatch.setenv("DERMEDGE_CACHE", "mine")
    assert cache_folder() == tmp_path / "mine"
