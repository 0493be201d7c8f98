"""Torch beside the model file: the same answers from the same weights, and no comparison of other weights."""

import json
import shutil
from pathlib import Path

import pytest

import benchmarks.torch_on_gpu as torch_on_gpu
from dermedge.training.checkpoint import read_tensors, save_weights
from dermedge_runtime.errors import DermedgeError


@pytest.fixture
def measured(trained_run, exported: dict, tmp_path: Path):
    """Run the benchmark on the CPU; gives the exit code and the record."""
    out = tmp_path / "torch.json"

    def run(folder: Path) -> dict:
        options = ("--device", "cpu", "--modes", "eager", "--batches", "1,3", "--rounds", "3", "--out", str(out))
        assert torch_on_gpu.main([str(folder), str(exported["fp32"].path), *options]) == 0
        return json.loads(out.read_text(encoding="utf-8"))

    return run


def test_torch_answers_as_the_file_and_is_timed_at_every_batch_size(trained_run, measured) -> None:
    rows = measured(trained_run.path)["results"]
    assert [(row["contender"], row["batch"]) for row in rows] == [("torch eager fp32", 1), ("torch eager fp32", 3)]
    assert all(row["largest_difference"] < 1e-4 and row["median_ms"] > 0 for row in rows)


def test_weights_that_the_file_was_not_made_from_are_refused(trained_run, measured, tmp_path: Path) -> None:
    other = Path(shutil.copytree(trained_run.path, tmp_path / "other"))
    weights = other / "weights.safetensors"
    tensors = read_tensors(weights)
    save_weights(weights, {name: each + 1 if each.is_floating_point() else each for name, each in tensors.items()})
    with pytest.raises(DermedgeError, match="was not exported from the run"):
        measured(other)
