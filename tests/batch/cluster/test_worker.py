"""A worker refuses what it cannot do, in a sentence that reaches the command."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from batch.cluster.conftest import Attempts, answer_of
from batch.cluster.parts_of import many
from make_tiny_model import TINY

from dermedge.batch.census import KnownFile
from dermedge.batch.cluster import run_cluster
from dermedge.batch.cluster.incoming import blocks_of
from dermedge.batch.cluster.worker import Task, Worker, table_of, tried
from dermedge.batch.job import BatchJob
from dermedge_runtime.errors import DeviceUnavailable, ModelFileError

pytest.importorskip("pyarrow")
MODEL = TINY.read_bytes()
TASK = Task(BatchJob(()), TINY.name, hashlib.sha256(MODEL).hexdigest(), "cpu", 1, (), None)


def files_in(folder: Path) -> list[KnownFile]:
    return [KnownFile(str(path), path.name) for path in sorted(folder.iterdir())]


def test_names_of_any_bytes_and_warnings_come_back(without_ray: None, tmp_path: Path) -> None:
    many(tmp_path / "pics", 3)
    odd = os.fsdecode(b"\xff.jpg")
    (tmp_path / "pics" / odd).write_bytes((tmp_path / "pics" / "0000.jpg").read_bytes())
    (block,) = blocks_of(files_in(tmp_path / "pics"), 16)
    worker = Worker(TASK, MODEL, Attempts())
    answer = answer_of(worker, block)
    rows = table_of(answer.rows).to_pylist()
    assert (answer.files, len(rows), answer.failure) == (4, 4, None)
    assert {row["label"] is not None for row in rows} == {True}
    assert rows[-1]["file"].endswith("\\udcff.jpg")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version": "0.0"}, "the command was given to 0.0: install one version"),
        ({"folders": ("/absent",)}, "does not have /absent: every machine must see the folder"),
        ({"here": "/absent/too"}, "does not have /absent/too"),
        ({"sha256": "0" * 64}, "tiny.onnx did not reach"),
        ({"device": "tensorrt"}, "tensorrt"),
    ],
)
def test_where_it_cannot_work(without_ray: None, tmp_path: Path, changes: dict, sentence: str) -> None:
    (block,) = blocks_of(files_in(many(tmp_path / "pics", 1)), 16)
    answer = answer_of(Worker(replace(TASK, **changes), MODEL, Attempts()), block)
    assert sentence in str(answer.failure) and "\n" not in str(answer.failure)


def test_a_block_that_ended_worker_after_worker(without_ray: None, tmp_path: Path) -> None:
    (block,) = blocks_of(files_in(many(tmp_path / "pics", 2)), 16)
    assert answer_of(Worker(TASK, MODEL, Attempts(before=3)), block).failure is None
    told = str(answer_of(Worker(TASK, MODEL, Attempts(before=4)), block).failure)
    assert "0000.jpg to " in told and "has ended 4 times: one of them may take too much memory." in told


def test_a_trial_says_what_it_found() -> None:
    found = tried(TASK, MODEL)
    assert (found.device, found.provider) == ("cpu", "CPUExecutionProvider")
    assert isinstance(tried(replace(TASK, device="cuda"), MODEL), DeviceUnavailable)
    assert isinstance(tried(replace(TASK, sha256="0"), MODEL), ModelFileError)


def test_a_cluster_that_others_use_is_told(infer, without_ray: None, here: Path, monkeypatch) -> None:
    many(here / "pics", 2)
    monkeypatch.setenv("BUSY", "1")
    monkeypatch.setattr(run_cluster, "_PATIENCE", 0.3)
    done = infer("pics", "--out", "parts", "--ray", "local")
    assert (done.returncode, len(done.stderr.splitlines())) == (0, 1)
    assert "Every CPU of the cluster is in use" in done.stderr


def test_a_cluster_that_tells_late_what_is_free_is_not_called_busy(infer, without_ray: None, here: Path) -> None:
    many(here / "pics", 2)
    done = infer("pics", "--out", "parts", "--ray", "local")
    assert (done.returncode, done.stderr) == (0, "")
