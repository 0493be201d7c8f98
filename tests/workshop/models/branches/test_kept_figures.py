"""The figures of image branches are measured once; what is wrong with the file that keeps them is nobody's trouble."""

import json
from pathlib import Path

import pytest

from dermedge.models.branches import kept_figures
from dermedge.models.branches.branch_list import rows
from dermedge.models.branches.dermiresnet import PaperFamily
from dermedge.models.branches.torchvision_networks import TorchvisionFamily
from dermedge_runtime.errors import UsageError

NAME, SIZE = "dermiresnet", 64


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DERMEDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "branches"


def kept(folder: Path) -> Path:
    (file,) = folder.iterdir()
    return file


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the networks that were made."""
    names = []
    for family in (PaperFamily, TorchvisionFamily):

        def make(self, name: str, dropout: float, make=family.make):
            names.append(name)
            return make(self, name, dropout)

        monkeypatch.setattr(family, "make", make)
    return names


def test_the_second_time_no_network_is_made(made):
    first = list(rows((NAME,), SIZE))
    assert first[0].operations > 0 and made == [NAME]
    assert list(rows((NAME,), SIZE)) == list(rows((NAME,), SIZE, exact=True)) == first and made == [NAME]
    (other,) = rows((NAME,), 2 * SIZE)
    assert other.operations == 4 * first[0].operations and made == [NAME] * 2
    assert list(rows((NAME,), SIZE)) == first and made == [NAME] * 2, "what is new is written beside what was there"


def test_what_is_no_branch_is_kept_too_and_still_says_why(made):
    assert list(rows(("vit_b_32",), SIZE)) == list(rows(("vit_b_32",), SIZE)) == ["vit_b_32"]
    assert made == ["vit_b_32"]
    with pytest.raises(UsageError, match="vit_b_32 ends in tokens"):
        list(rows(("vit_b_32",), SIZE, exact=True))


def test_of_another_version_everything_is_measured_anew(made, folder, monkeypatch):
    first = list(rows((NAME,), SIZE))
    monkeypatch.setattr(kept_figures, "version", lambda library: "99")
    assert list(rows((NAME,), SIZE)) == first and made == [NAME] * 2
    assert len(list(folder.iterdir())) == 2


FIGURES = {"parameters": 1, "operations": None, "stride": 1, "channels": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[1]",
        b"[" * 100_000,
        json.dumps({f"{NAME} {SIZE}": [1, 2]}).encode(),
        json.dumps({f"{NAME} {SIZE}": FIGURES | {"stride": "1"}}).encode(),
        json.dumps({f"{NAME} {SIZE}": FIGURES | {"stride": True}}).encode(),
        json.dumps({f"{NAME} {SIZE}": FIGURES | {"parameters": -1}}).encode(),
        json.dumps({f"{NAME} {SIZE}": FIGURES | {"more": 1}}).encode(),
        json.dumps({f"{NAME} {SIZE}": {"parameters": 1}}).encode(),
    ],
    ids=range(10),
)
def test_a_damaged_file_is_as_none_and_is_replaced(made, folder, content):
    first = list(rows((NAME,), SIZE))
    whole = kept(folder).read_bytes()
    kept(folder).write_bytes(content)
    assert list(rows((NAME,), SIZE)) == first and made == [NAME] * 2
    assert kept(folder).read_bytes() == whole


@pytest.mark.parametrize("obstacle", ["a folder is the file", "a file is the folder"])
def test_where_nothing_can_be_kept_the_list_is_the_same(made, folder, obstacle):
    first = list(rows((NAME,), SIZE))
    file = kept(folder)
    file.unlink()
    if obstacle == "a folder is the file":
        file.mkdir()
    else:
        folder.rmdir()
        folder.write_bytes(b"")
    assert list(rows((NAME,), SIZE)) == first and made == [NAME] * 2


def test_what_was_measured_before_a_stop_is_kept(made):
    listed = rows((NAME, "alexnet"), SIZE)
    next(listed)
    listed.close()
    list(rows((NAME,), SIZE))
    assert made == [NAME]
