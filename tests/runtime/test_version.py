"""Builds between releases are told apart by their commit."""

from pathlib import Path

import pytest

from dermedge_runtime import version as module
from dermedge_runtime.version import RELEASE, commit_of, version

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def checkout(folder: Path, head: str, **files: str) -> str:
    for name, text in {"HEAD": head, **files}.items():
        path = folder / ".git" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="ascii")
    return str(folder)


def test_a_branch_of_its_own_file(tmp_path: Path) -> None:
    assert commit_of(checkout(tmp_path, "ref: refs/heads/a/b", **{"refs/heads/a/b": COMMIT})) == COMMIT


def test_a_packed_branch(tmp_path: Path) -> None:
    packed = f"# pack-refs with: peeled\n{'f' * 40} refs/heads/other\n{COMMIT} refs/heads/main"
    assert commit_of(checkout(tmp_path, "ref: refs/heads/main", **{"packed-refs": packed})) == COMMIT


def test_no_branch(tmp_path: Path) -> None:
    assert commit_of(checkout(tmp_path, COMMIT)) == COMMIT


def test_a_second_work_tree(tmp_path: Path) -> None:
    checkout(tmp_path, "ref: refs/heads/main", **{"refs/heads/side": COMMIT})
    checkout(tmp_path, "", **{"worktrees/two/HEAD": "ref: refs/heads/side", "worktrees/two/commondir": "../.."})
    second = tmp_path / "two"
    second.mkdir()
    (second / ".git").write_text(f"gitdir: {tmp_path / '.git' / 'worktrees' / 'two'}\n", encoding="ascii")
    assert commit_of(str(second)) == COMMIT


@pytest.mark.parametrize("head", ["ref: refs/heads/unborn", ""])
def test_no_commit(tmp_path: Path, head: str) -> None:
    assert commit_of(checkout(tmp_path, head)) == ""


def test_no_checkout(tmp_path: Path) -> None:
    assert commit_of(str(tmp_path)) == ""


def test_builds_between_releases_and_releases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RELEASE", "0.2.0.dev0")
    assert version(COMMIT) == "0.2.0.dev0+g0123456789"
    assert version("") == "0.2.0.dev0"
    monkeypatch.setattr(module, "RELEASE", "0.2.0")
    assert version(COMMIT) == "0.2.0"


def test_the_packages_say_one_version() -> None:
    import dermedge
    import dermedge_runtime

    assert dermedge.__version__ == dermedge_runtime.__version__ == version()
    assert version().startswith(RELEASE)
