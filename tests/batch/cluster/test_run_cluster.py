"""`dermedge infer --ray`: the rows of one machine, once each, whatever happens to a worker."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from batch.cluster.parts_of import many, require_equal, rows_of
from batch.pictures import folder_of

from dermedge.batch import progress_line
from dermedge.batch.cluster import incoming, ray_start
from dermedge.batch.cluster.messages import BlockAnswer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def two_workers() -> Iterator[None]:
    """Ray on this machine, for all tests."""
    pytest.importorskip("ray.data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray_start, "usable_cpus", lambda: 2)
        with ray_start.joined_ray("local"):
            yield


@pytest.fixture(autouse=True)
def _without_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines about progress, which come on a slow machine alone, are not looked at here."""
    monkeypatch.setattr(progress_line, "_ELSEWHERE_S", 1e6)


@pytest.fixture
def pics(here: Path) -> Path:
    """Pictures in two folders, one of them broken, and a table about most of them."""
    names = [f"{number:02}.jpg" for number in range(40)]
    folder = folder_of(here / "pics", *names, "in/a.jpg", "in/d.png")
    (folder / "03.jpg").write_bytes(b"text")
    rows = [f"{name};{20 + number};{'mf'[number % 2]};P{number}" for number, name in enumerate(names)]
    rows[7] = "07.jpg;200;m;=P7"
    (here / "p.csv").write_text("\n".join(["Photo;age;sex;Case", *rows[:-2], "x.jpg;5;m;4"]))
    return folder


TABLE = ("--recursive", "--table", "p.csv", "--columns", "image=Photo", "--id", "Case", "--site", "back")


def test_the_rows_are_those_of_one_machine(infer, pics: Path, here: Path) -> None:
    alone = infer("pics", *TABLE, "--out", "one.parquet")
    done = infer("pics", *TABLE, "--out", "parts", "--ray", "local", "--report", "r.html")
    assert done.returncode == alone.returncode == 3, done.stderr
    expected = rows_of(here / "one.parquet")
    require_equal(rows_of(here / "parts"), expected)
    assert sum(bool(row["error"]) for row in expected.values()) == 2
    assert {row["id"] for row in expected.values()} >= {"P1", "'=P7", None}
    for sentence in ("1 row of p.csv fit no file: x.jpg.", "in/d.png.", "row 9 of p.csv: age", "03.jpg"):
        assert sentence in done.stderr
    told, start, place = done.stdout.splitlines()[0], *done.stdout.splitlines()[-3:-1]
    assert told.startswith("42 pictures in ") and "start-up" in start and place == "parts: 42 rows"
    assert "42 pictures" in (here / "r.html").read_text()
    again = infer("pics", *TABLE, "--out", "parts", "--ray", "local", "--json")
    assert json.loads(again.stdout)["earlier"] == 42
    assert len(list((here / "parts").glob("*.parquet"))) == 1


def after_first(monkeypatch: pytest.MonkeyPatch, act: Callable[[BlockAnswer], None]) -> None:
    """Do something once the first answer has come."""
    coming = incoming.Incoming.answers

    def answers(self: incoming.Incoming, stop: object) -> Iterator[BlockAnswer]:
        for number, answer in enumerate(coming(self, stop)):
            if number == 0:
                act(answer)
            yield answer

    monkeypatch.setattr(incoming.Incoming, "answers", answers)


def test_a_killed_worker_costs_no_row(infer, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many(here / "pics")
    after_first(monkeypatch, lambda answer: os.kill(int(answer.worker.rpartition(":")[2]), signal.SIGKILL))
    done = infer("pics", "--out", "parts", "--ray", "local", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads(done.stdout)
    assert summary["workers"] >= 2 and summary["pictures"] == summary["answered"] == 300
    assert len(rows_of(here / "parts")) == 300


@pytest.mark.exhaustive  # a Ray of its own takes 15 s and more
def test_a_block_that_ends_every_worker_is_told(infer, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Tired:
        def begin(self, block: str) -> int:
            return 5 if block.endswith("0031.jpg") else 1

    many(here / "pics", 64)
    monkeypatch.setattr(incoming, "Attempts", Tired)
    done = infer("pics", "--out", "parts", "--ray", "local")
    assert done.returncode == 1
    (told,) = done.stderr.splitlines()
    assert "pictures from pics/0016.jpg to pics/0031.jpg has ended 4 times" in told


@pytest.mark.exhaustive  # a Ray of its own takes 15 s and more
def test_what_a_signal_stops_is_gone_on_with(infer, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = many(here / "pics")
    with monkeypatch.context() as patch:
        after_first(patch, lambda answer: os.kill(os.getpid(), signal.SIGTERM))
        stopped = infer("pics", "--out", "parts", "--ray", "local")
    assert stopped.returncode == 143, stopped.stderr
    assert "not all; the same command goes on where this one stopped" in stopped.stdout
    before = rows_of(here / "parts")
    assert 0 < len(before) < 300
    (folder / "0300.jpg").write_bytes((folder / "0001.jpg").read_bytes())
    done = infer("pics", "--out", "parts", "--ray", "local", "--json")
    summary = json.loads(done.stdout)
    assert (done.returncode, summary["earlier"], summary["pictures"]) == (0, len(before), 301)
    after = rows_of(here / "parts")
    assert len(after) == 301 and before.items() <= after.items()
