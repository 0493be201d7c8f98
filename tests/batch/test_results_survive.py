"""Whatever ends a run, the rows before stay, and the same command goes on until every picture has one."""

import csv
import json
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from batch.conftest import begun
from batch.pictures import encoded

PICTURES = 2500


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of folders with many pictures."""
    folder = tmp_path_factory.mktemp("many")
    kinds = [encoded(number, "JPEG") for number in range(50)]
    for number in range(PICTURES):
        path = folder / f"{number // 500}" / f"{number:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(kinds[number % 50])
    return folder


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def wait_for_rows(path: Path, count: int, process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") > count:
            return
        time.sleep(0.005)
    raise AssertionError(f"ended with {process.poll()}: {process.communicate()}")


def finished(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    with begun(folder, *arguments) as process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_a_killed_run_goes_on_with_no_row_lost_or_doubled(many: Path, tmp_path: Path) -> None:
    command, out = (many, "--recursive", "--out", "r.csv"), tmp_path / "r.csv"
    for rows in (1, 400, 1100):
        with begun(tmp_path, *command) as process:
            wait_for_rows(out, rows, process)
            process.kill()
        assert out.read_bytes().endswith(b"\n")
    done = finished(tmp_path, *command, "--json")
    assert done.returncode == 0, done.stderr
    names = [row["file"] for row in rows_in(out)]
    assert (len(names), len(set(names))) == (PICTURES, PICTURES)
    summary = json.loads(done.stdout)
    assert summary["pictures"] == summary["answered"] == PICTURES
    assert summary["earlier"] >= 1100
    assert sum(summary["classes"].values()) == PICTURES
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_the_piece_be_finished_and_the_summary_be_printed(
    many: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    out = tmp_path / "r.jsonl"
    with begun(tmp_path, many, "--recursive", "--out", out) as process:
        wait_for_rows(out, 100, process)
        process.send_signal(number)
        said, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "stopping after the pictures at work; once more stops at once" in err and "Traceback" not in err
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert 100 < len(rows) < PICTURES
    assert f"r.jsonl: {len(rows):,} rows, not all; the same command goes on where this one stopped" in said
    assert f"answered   {len(rows):,}" in said


def test_a_full_disk_keeps_what_was_written(many: Path, tmp_path: Path) -> None:
    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))

    with begun(tmp_path, many, "--recursive", "--out", "r.csv", preexec_fn=small_disk) as process:
        said, err = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "")
    rows = rows_in(tmp_path / "r.csv")
    assert len(rows) > 100
    assert f"r.csv cannot be written: File too large. {len(rows)} rows are kept; once it can be written" in err
    assert "Traceback" not in err
    assert finished(tmp_path, many, "--recursive", "--out", "r.csv").returncode == 0
    assert len({row["file"] for row in rows_in(tmp_path / "r.csv")}) == PICTURES


def test_a_folder_that_disappears_leaves_no_rejected_rows(many: Path, tmp_path: Path) -> None:
    folder, away = tmp_path / "share", tmp_path / "away"
    shutil.copytree(many, folder)
    with begun(tmp_path, "share", "--recursive", "--out", "r.csv") as process:
        wait_for_rows(tmp_path / "r.csv", 50, process)
        folder.rename(away)
        said, err = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "")
    assert "The folder share is gone. Once it is back, the same command goes on where it stopped." in err
    rows = rows_in(tmp_path / "r.csv")
    assert 50 <= len(rows) < PICTURES and not any(row["error"] for row in rows)
    away.rename(folder)
    done = finished(tmp_path, "share", "--recursive", "--out", "r.csv")
    assert done.returncode == 0, done.stderr
    assert len({row["file"] for row in rows_in(tmp_path / "r.csv")}) == PICTURES


def test_a_picture_that_alone_is_gone_is_rejected(tmp_path: Path, infer) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "a.jpg").write_bytes(encoded(1, "JPEG"))
    done = infer("pics", "none.jpg", "--out", "r.csv")
    assert done.returncode == 3
    assert ["there is no such file" in row["error"] for row in rows_in(tmp_path / "r.csv")] == [False, True]


def test_elsewhere_than_on_a_terminal_a_line_comes_now_and_then(many: Path, tmp_path: Path, infer, monkeypatch) -> None:
    monkeypatch.setattr("dermedge.batch.progress_line._ELSEWHERE_S", 0.05)
    done = infer(many, "--recursive", "--out", "r.csv")
    lines = [line for line in done.stderr.splitlines() if " of 2,500 pictures (" in line]
    assert len(lines) > 1 and all(" a second" in line for line in lines)
    assert os.linesep + "\r" not in done.stderr
