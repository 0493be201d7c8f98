"""No command overwrites what it reads, or files of a user that only have the name of ours."""

import errno
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from make_tiny_model import TINY
from PIL import Image

import dermedge.evaluation.evaluate as evaluation
from dermedge.training.run import Run


def unchanged(done: subprocess.CompletedProcess[str], code: int, words: str, folder: Path, before: dict) -> None:
    assert done.returncode == code, done.stderr
    assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1
    assert contents(folder) == before


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(TINY, tmp_path / "model.onnx")
    Image.fromarray(np.full((40, 40, 3), 120, np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "run").mkdir()
    for name in ("config.json", "weights.safetensors"):
        (tmp_path / "run" / name).write_text("kept")
    (tmp_path / "link.json").symlink_to(tmp_path / "model.onnx")
    return tmp_path


@pytest.mark.parametrize("out", ["model.onnx", "a.png", "./run/../a.png", "run/config.json", "link.json"])
def test_a_benchmark_is_not_written_over_its_inputs(cli_here, folder: Path, out: str) -> None:
    before = contents(folder)
    done = cli_here("bench", "model.onnx", "--image", "a.png", "--run", "run", "--out", out, cwd=folder)
    unchanged(done, 2, "is also an input; name another file.", folder, before)


@pytest.mark.parametrize("out", ["model.onnx", "run/weights.safetensors", "link.json"])
def test_a_card_is_not_written_over_its_inputs(cli_here, folder: Path, out: str) -> None:
    before = contents(folder)
    done = cli_here("card", "model.onnx", "--run", "run", "--out", out, cwd=folder)
    unchanged(done, 2, "is also an input; name another file.", folder, before)


def test_a_model_file_that_is_named_like_its_card_is_kept(cli_here, folder: Path) -> None:
    (folder / "model.onnx").rename(folder / "model.md")
    before = contents(folder)
    unchanged(cli_here("card", "model.md", "--run", "run", cwd=folder), 2, "is also an input", folder, before)


def test_the_page_of_a_comparison_is_not_written_over_its_results(cli_here, folder: Path) -> None:
    before = contents(folder)
    done = cli_here("compare", "--folder", "run", "--report", "run/config.json", cwd=folder)
    unchanged(done, 2, "is also an input", folder, before)


@pytest.mark.parametrize("name", ["metrics.json", "history.csv", "weights.safetensors", "explain/gallery.png"])
def test_a_training_does_not_clear_a_folder_that_holds_no_run(
    cli_here, tmp_path: Path, synthetic_data: Path, name: str
) -> None:
    (tmp_path / "explain").mkdir()
    (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    done = cli_here("train", "--run", ".", "--data", synthetic_data, cwd=tmp_path)
    unchanged(done, 1, "has the name of a file of a run", tmp_path, before)


@pytest.mark.slow
@pytest.mark.usefixtures("traced_once")
def test_an_evaluation_on_a_read_only_medium_still_gives_its_figures(
    trained_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read_only(path: Path, record: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fspath(path))

    monkeypatch.setattr(evaluation, "write_json", read_only)
    caplog.set_level(logging.INFO, "dermedge")
    found = evaluation.evaluate_run(trained_run, tmp_path, "test", "cpu")
    assert len(found.results) == 2
    assert caplog.messages[-1] == f"not written: {trained_run.metrics_file}: Read-only file system"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become another user")
def test_a_user_without_home_and_without_a_name_has_a_cache_folder() -> None:
    # What is imported must be imported before: the packages may lie where the other user cannot read.
    code = f"""
import os, pwd, sys, tempfile
from dermedge_runtime import Classifier
from dermedge_runtime.files import cache_folder
tempfile.tempdir = sys.argv[1]
Classifier({os.fspath(TINY)!r}, device="cpu")
os.setgroups([]); os.setgid(54321); os.setuid(54321)
os.environ.pop("HOME", None)
print(cache_folder().name)
"""
    kept = {n: v for n, v in os.environ.items() if n not in ("DERMEDGE_CACHE", "XDG_CACHE_HOME")}
    with tempfile.TemporaryDirectory() as folder:  # not pytest's, which only its owner may enter
        Path(folder).chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", code, folder], env=kept, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stdout) == (0, "dermedge-54321\n"), done.stderr
