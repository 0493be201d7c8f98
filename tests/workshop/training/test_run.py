"""A run is opened once; what is wrong with it is one sentence that names the file."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dermedge.config import TrainConfig
from dermedge.data.splits import Split
from dermedge.training import run as module
from dermedge.training.run import Run, opened
from dermedge.training.run_folder import RunFolder
from dermedge_runtime.errors import DermedgeError

CONFIG = TrainConfig(data="/d", epochs=3, protocol="paper", seed=9)
SPLIT = Split("paper", (("a", "L1", "train"), ("b", "L1", "test"), ("c", "L2", "validation")))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "runs" / "one")
    made.create(CONFIG, SPLIT, {"classes": ["x", "y"]})
    return made


def error_of(folder: RunFolder) -> str:
    with pytest.raises(DermedgeError) as caught:
        _ = Run.open(folder.path).split
    assert caught.value.exit_code == 1
    return str(caught.value)


def test_a_new_run_is_read_back(folder):
    run = Run.open(str(folder.path))
    assert (run.path, run.config, run.split) == (folder.path, CONFIG, SPLIT)
    assert run.record["classes"] == ["x", "y"]
    assert run.record["split_sha256"] == hashlib.sha256(folder.split_file.read_bytes()).hexdigest()


def test_an_open_run_reads_nothing_again(folder):
    run = Run.open(folder.path)
    first = run.split
    shutil.rmtree(folder.path)
    assert run.split is first
    assert (run.config, run.split, run.schema.name) == (CONFIG, SPLIT, "HAM10000")
    assert opened(run) is run


def test_a_path_is_opened(folder):
    assert opened(folder.path).config == opened(str(folder.path)).config == CONFIG


def test_a_folder_without_a_run_says_how_to_make_one(tmp_path):
    message = error_of(RunFolder(tmp_path / "nowhere"))
    assert message == (
        f"There is no training run in {tmp_path / 'nowhere'}. Run `dermedge train` first, or name one with --run."
    )


def test_a_folder_without_a_run_names_the_runs_beside_it(folder):
    message = error_of(RunFolder(folder.path.parent / "nowhere"))
    assert message.endswith(f"name one with --run. {folder.path.parent} has {folder.path.name}.")


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
    "a hundred thousand lists in each other": b"[" * 100_000,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_settings_are_an_error_that_names_the_file(folder, content):
    folder.config_file.write_bytes(content)
    message = error_of(folder)
    assert message.startswith(f"{folder.config_file} is damaged (")
    assert message.endswith("Train the run again.")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fusion": "gatd"}, "Did you mean gated?"),
        ({"augmentation": 3}, "the setting augmentation is 3; it must be a table of settings"),
        ({"augmentation": {"nois": 1}}, "there is no setting nois; did you mean noise?"),
    ],
)
def test_a_setting_that_does_not_fit_is_told(folder, change, reason):
    record = json.loads(folder.config_file.read_text(encoding="utf-8"))
    record["settings"].update(change)
    folder.config_file.write_text(json.dumps(record), encoding="utf-8")
    assert error_of(folder).endswith(f"{reason}). Train the run again.")


def test_settings_that_an_editor_has_saved_with_a_byte_order_mark_are_read(folder):
    folder.config_file.write_bytes(b"\xef\xbb\xbf" + folder.config_file.read_bytes())
    assert Run.open(folder.path).config == CONFIG


def test_settings_without_the_splits_hash_are_damaged(folder):
    folder.config_file.write_bytes(without("split_sha256"))
    assert f"{folder.config_file} is damaged" in error_of(folder)


@pytest.mark.parametrize(("old", "new"), [("b,L1,test", "b,L1,train"), ("c,L2,validation\n", ""), ("a,L1", "a,L7")])
def test_a_split_that_was_changed_is_refused(folder, old, new):
    text = folder.split_file.read_text(encoding="utf-8")
    assert old in text
    folder.split_file.write_text(text.replace(old, new), encoding="utf-8")
    message = error_of(folder)
    assert message == f"{folder.split_file} was changed after the training. Restore it, or train the run again."


@pytest.mark.parametrize("content", [None, b"", b"image_id,split\na,train\n", b"\xff\xfe\x00", b'image_id,lesion_id,"'])
def test_a_split_that_cannot_be_read_is_an_error_that_names_it(folder, content):
    if content is None:
        folder.split_file.unlink()
    else:
        folder.split_file.write_bytes(content)
    message = error_of(folder)
    assert message.startswith(str(folder.split_file))
    assert "rain the run again." in message


def test_a_run_without_weights_says_what_to_do(folder):
    with pytest.raises(DermedgeError) as caught:
        _ = Run.open(folder.path).weights_sha256
    assert str(caught.value) == (
        f"The run in {folder.path} has no weights yet. Let `dermedge train` finish an epoch first."
    )


def test_weights_are_hashed_once_for_every_state_of_their_file(folder, monkeypatch):
    hashed: list[bytes] = []
    hash_file = module.hash_file
    monkeypatch.setattr(module, "hash_file", lambda path: [hashed.append(path.read_bytes()), hash_file(path)][1])
    run = Run.open(folder.path)
    for content in (b"weights", b"better!"):  # of the same size
        beside = folder.path / "beside"
        beside.write_bytes(content)
        os.replace(beside, folder.weights_file)  # as a training does
        assert run.weights_sha256 == run.weights_sha256 == hashlib.sha256(content).hexdigest()
    assert hashed == [b"weights", b"better!"]


def test_weights_of_another_run_in_the_same_folder_are_refused(folder):
    run = Run.open(folder.path)
    folder.weights_file.write_bytes(b"weights")
    assert run.weights_sha256
    folder.create(replace(CONFIG, epochs=9), SPLIT, {})
    with pytest.raises(DermedgeError, match=r"Another run was written to .* since this one was opened\. Open it again"):
        _ = run.weights_sha256
    assert Run.open(folder.path).weights_sha256 == hashlib.sha256(b"weights").hexdigest()


def test_the_data_are_read_once_per_folder(folder, monkeypatch):
    read: list[Path | None] = []

    def count(data: Path | None, schema: object, **options: object) -> list[str]:
        read.append(data)
        return ["sample"]

    monkeypatch.setattr(module, "read_samples", count)
    run = Run.open(folder.path)
    run.samples().append("of the caller alone")
    assert run.samples() == run.samples(Path("/d")) == run.samples("elsewhere") == ["sample"]
    assert read == [Path("/d"), Path("elsewhere")]
    Run.open(folder.path).samples()
    assert read == [Path("/d"), Path("elsewhere"), Path("/d")], "a run that is opened again reads again"


def test_a_run_from_before_there_were_schemas_is_of_ham10000(folder):
    run = Run.open(folder.path)
    assert "schema" not in run.record
    assert run.schema.classes == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")


@pytest.mark.parametrize("schema", [5, {}, {"name": "x"}])
def test_a_damaged_schema_is_an_error_that_names_the_file(folder, schema):
    record = json.loads(folder.config_file.read_text(encoding="utf-8"))
    folder.config_file.write_text(json.dumps({**record, "schema": schema}), encoding="utf-8")
    message = error_of(folder)
    assert message.startswith(f"{folder.config_file} is damaged (") and message.endswith("Train the run again.")
