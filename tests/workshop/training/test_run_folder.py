import csv
import hashlib
import json
from pathlib import Path

import pytest

from dermedge.config import TrainConfig
from dermedge.data.splits import Split
from dermedge.training import run_folder
from dermedge.training.run_folder import RunFolder
from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files.temporary_files import _this_start

CONFIG = TrainConfig(data="/d", epochs=3, protocol="paper", seed=9)
SPLIT = Split("paper", (("a", "L1", "train"), ("b", "L1", "test"), ("c", "L2", "validation")))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "runs" / "one")
    made.create(CONFIG, SPLIT, {"classes": ["x", "y"]})
    return made


def error_of(function) -> str:
    with pytest.raises(DermedgeError) as caught:
        function()
    assert caught.value.exit_code == 1
    return str(caught.value)


def test_a_new_run_is_read_back(run):
    assert run.config() == CONFIG
    assert run.split() == SPLIT
    assert run.record()["classes"] == ["x", "y"]
    assert run.record()["split_sha256"] == hashlib.sha256(run.split_file.read_bytes()).hexdigest()


def test_the_settings_are_written_last_because_they_make_the_folder_a_run(tmp_path, monkeypatch):
    run, real = RunFolder(tmp_path), run_folder.write_json

    def write(path: Path, record: object) -> None:
        assert run.split_file.is_file() and not run.config_file.exists()
        real(path, record)

    monkeypatch.setattr(run_folder, "write_json", write)
    run.create(CONFIG, SPLIT, {})
    assert run.config_file.is_file()


@pytest.mark.parametrize("use", [RunFolder.config, RunFolder.split, RunFolder.record])
def test_a_folder_without_a_run_says_how_to_make_one(tmp_path, use):
    run = RunFolder(tmp_path / "nowhere")
    message = error_of(lambda: use(run))
    assert message == f"There is no training run in {run.path}. Run `dermedge train` first, or name one with --run."


def without(key: str) -> bytes:
    record = {"settings": CONFIG.to_record(), "split_sha256": SPLIT.sha256}
    del record[key]
    return json.dumps(record).encode()


DAMAGED = {
    "empty": b"",
    "cut": b'{"settings": {"da',
    "a list": b"[]",
    "a number": b"3",
    "not UTF-8": b"\xff\xfe{}",
    "no settings": without("settings"),
    "unknown setting": json.dumps({"settings": {**CONFIG.to_record(), "colour_blind": 1}}).encode(),
    "settings of another kind": b'{"settings": 5}',
    "no augmentation": b'{"settings": {"data": "d"}}',
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
@pytest.mark.parametrize("use", [RunFolder.config, RunFolder.split])
def test_damaged_settings_are_an_error_that_names_the_file(run, content, use):
    run.config_file.write_bytes(content)
    message = error_of(lambda: use(run))
    assert message.startswith(f"{run.config_file} is damaged (")
    assert message.endswith("Train the run again.")


def test_settings_without_the_splits_hash_are_damaged(run):
    run.config_file.write_bytes(without("split_sha256"))
    assert f"{run.config_file} is damaged" in error_of(run.split)


@pytest.mark.parametrize(("old", "new"), [("b,L1,test", "b,L1,train"), ("c,L2,validation\n", ""), ("a,L1", "a,L7")])
def test_a_split_that_was_changed_is_refused(run, old, new):
    text = run.split_file.read_text(encoding="utf-8")
    assert old in text
    run.split_file.write_text(text.replace(old, new), encoding="utf-8")
    message = error_of(run.split)
    assert message == f"{run.split_file} was changed after the training. Restore it, or train the run again."


@pytest.mark.parametrize("content", [None, b"", b"image_id,split\na,train\n", b"\xff\xfe\x00", b'image_id,lesion_id,"'])
def test_a_split_that_cannot_be_read_is_an_error_that_names_it(run, content):
    if content is None:
        run.split_file.unlink()
    else:
        run.split_file.write_bytes(content)
    message = error_of(run.split)
    assert message.startswith(str(run.split_file))
    assert "rain the run again." in message


def test_a_run_without_weights_says_what_to_do(run):
    assert error_of(run.weights_sha256) == (
        f"The run in {run.path} has no weights yet. Let `dermedge train` finish an epoch first."
    )


def test_the_hash_of_the_weights_is_the_files(run):
    run.weights_file.write_bytes(b"weights")
    assert run.weights_sha256() == hashlib.sha256(b"weights").hexdigest()


def test_clearing_removes_the_runs_own_files_and_no_others(run):
    own = [run.checkpoint_file, run.weights_file, run.history_file, run.metrics_file, run.plots / "roc.png"]
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


def test_a_run_from_before_there_were_schemas_is_of_ham10000(run):
    assert "schema" not in run.record()
    assert run.schema().classes == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


@pytest.mark.parametrize("schema", [5, {}, {"name": "x"}])
def test_a_damaged_schema_is_an_error_that_names_the_file(run, schema):
    run.config_file.write_text(json.dumps({**run.record(), "schema": schema}), encoding="utf-8")
    message = error_of(run.schema)
    assert message.startswith(f"{run.config_file} is damaged (") and message.endswith("Train the run again.")
