"""`train --embeddings`: a run of its own name, which is resumed and evaluated, and which no model file is made of."""

from pathlib import Path

import numpy as np
import pytest

TINY = ("--epochs", 1, "--per-class", 2, "--batch-size", 14, "--device", "cpu")


@pytest.fixture
def file(synthetic_data: Path, tmp_path: Path) -> Path:
    names = [path.stem for path in sorted(synthetic_data.rglob("*.jpg"))]
    values = np.random.default_rng(0).normal(size=(len(names), 5))
    np.savez(tmp_path / "e.npz", image=np.array(names), embedding=values)
    return tmp_path / "e.npz"


def test_the_run_is_named_after_them_and_found_by_that_name(cli_here, synthetic_data, file, tmp_path):
    options, by_name = ("--embeddings", file, "--fusion", "late"), ("--image-branch", "embeddings", "--fusion", "late")
    done = cli_here("train", "--data", synthetic_data, *options, *TINY, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "embeddings-late" / "weights.safetensors").is_file()
    assert cli_here("train", "--resume", *options, cwd=tmp_path).returncode == 0
    done = cli_here("evaluate", *by_name, cwd=tmp_path)
    assert done.returncode == 0 and "trained weights (torch), test split" in done.stdout
    for command in ("export", "explain"):
        done = cli_here(command, *by_name, cwd=tmp_path)
        assert done.returncode == 2 and "A run on given embeddings" in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "models").exists()


def test_a_setting_about_pictures_is_refused(cli_here, synthetic_data, file, tmp_path):
    done = cli_here("train", "--data", synthetic_data, "--embeddings", file, "--no-flips", cwd=tmp_path)
    assert done.returncode == 2 and "--flips is about pictures, and --embeddings" in done.stderr
    assert not (tmp_path / "runs").exists()
