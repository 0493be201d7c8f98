import csv
from pathlib import Path

import pytest

from dermedge.config import TrainConfig
from dermedge.data.splits import Split
from dermedge.training import run_folder
from dermedge.training.run_folder import RunFolder
from dermedge_runtime.files.temporary_files import _this_start

CONFIG = TrainConfig(data="/d", epochs=3, protocol="paper", seed=9)
SPLIT = Split("paper", (("a", "L1", "train"), ("b", "L1", "test"), ("c", "L2", "validation")))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "runs" / "one")
    made.create(CONFIG, SPLIT, {"classes": ["x", "y"]})
    return made


def test_the_settings_are_written_last_because_they_make_the_folder_a_run(tmp_path, monkeypatch):
    run, real = RunFolder(tmp_path), run_folder.write_json

    def write(path: Path, record: object) -> None:
        assert run.split_file.is_file() and not run.config_file.exists()
        real(path, record)

    monkeypatch.setattr(run_folder, "write_json", write)
    run.create(CONFIG, SPLIT, {})
    assert run.config_file.is_file()


def test_clearing_removes_the_runs_own_files_and_no_others(run):
    own = [run.checkpoint_file, run.weights_file, run.history_file, run.metrics_file, run.plots / "roc.png"]
    own += [run.predictions_file, run.plots / "precision_recall.png"]
    others = [run.path / "notes.txt", run.plots / "figure.svg", run.path / "photo.png"]
    run.plots.mkdir()
    for path in (*own, *others):
        path.touch()
    run.clear()
    assert sorted(path for path in run.path.rglob("*") if path.is_file()) == sorted(others)


def test_clearing_leaves_pictures_and_tables_of_the_user(run):
    others = [run.plots / "mine.png", run.path / "explain" / "notes.txt", run.features / "mine.f32"]
    own = [run.plots / "history.png", run.path / "explain" / "gallery.png", run.features / f"{'a' * 32}-view0.f32"]
    for path in (*own, *others):
        path.parent.mkdir(exist_ok=True)
        path.touch()
    run.clear()
    assert sorted(path for path in run.path.rglob("*") if path.is_file()) == sorted(others)


def test_what_killed_trainings_left_is_removed_and_nothing_else(run):
    run.features.mkdir()
    mark = f"{_this_start()}0123456789"
    own = [run.path / f".{name}.{mark}.tmp" for name in ("checkpoint.safetensors", "weights.safetensors")]
    own.append(run.features / f".{'a' * 32}-view0.f32.{mark}.tmp")
    others = [run.path / ".checkpoint.safetensors.tmp", run.path / f".notes.{mark}.tmp", run.path / "a.tmp"]
    for path in (*own, *others):
        path.touch()
    run.remove_leftovers()
    assert [path.exists() for path in (*own, *others)] == [False] * 3 + [True] * 3


def test_clearing_where_nothing_is_does_nothing(tmp_path):
    RunFolder(tmp_path / "nowhere").clear()
    assert not (tmp_path / "nowhere").exists()


def test_the_history_is_a_table_with_empty_cells_for_none(run):
    run.write_history([{"epoch": 1, "loss": 0.5, "accuracy": None}, {"epoch": 2, "loss": 0.25, "accuracy": 0.1}])
    with run.history_file.open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [["epoch", "loss", "accuracy"], ["1", "0.5", ""], ["2", "0.25", "0.1"]]
