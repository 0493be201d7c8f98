"""`train --freeze-image-branch`: another run's trunk as it is, the rest trained on its features."""

import csv
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

SETTINGS = ("--image-size", 32, "--per-class", 6, "--batch-size", 16, "--fusion", "concat", "--feature-views", 2)
FROZEN = (*SETTINGS, "--start-from", "runs/cross_attention", "--freeze-image-branch")


def _earlier(workspace: Path) -> Path:
    return workspace / "runs" / "cross_attention"


@pytest.fixture(scope="module")
def frozen(cli_here, trained, synthetic_data, workspace: Path) -> Path:
    """The run folder of a head of two epochs."""
    done = cli_here("train", "--data", synthetic_data, *FROZEN, "--epochs", 2, "--run", "frozen")
    assert done.returncode == 0, done.stderr
    return workspace / "frozen"


def test_the_trunk_stays_and_the_rest_learns(frozen: Path, workspace: Path) -> None:
    before = load_file(_earlier(workspace) / "weights.safetensors")
    after = load_file(frozen / "weights.safetensors")
    assert len([name for name in after if name.startswith("trunk.")]) > 50
    for name, tensor in after.items():
        if name.startswith("trunk."):
            assert torch.equal(tensor, before[name]), name
    old, new = before["head.image.0.weight"], after["head.image.0.weight"]
    moved = float((new - old).abs().mean() / old.abs().mean())
    assert 0 < moved < 0.5, "it learned, and it started from the earlier run's: two random ones differ by 1.3"
    assert len(list((frozen / "features").glob("*.f32"))) == 4, "three views for training, one for validation"


def test_views_are_a_setting_of_such_a_run_alone(frozen: Path, workspace: Path) -> None:
    settings = [json.loads((run / "config.json").read_text())["settings"] for run in (frozen, _earlier(workspace))]
    assert [(each["freeze_image_branch"], each["feature_views"]) for each in settings] == [(True, 2), (False, 0)]


def test_it_is_evaluated_as_any_run(cli_here, frozen: Path) -> None:
    done = cli_here("evaluate", "--run", frozen, "--split", "validation")
    assert done.returncode == 0, done.stderr
    with (frozen / "history.csv").open(newline="") as stream:
        best = [row for row in csv.DictReader(stream) if row["best"] == "True"][-1]
    assert f"{float(best['validation_balanced_accuracy']):.3f}" in done.stdout


def test_it_is_resumed_without_the_run_that_it_started_from(cli_here, trained, synthetic_data, frozen, workspace):
    done = cli_here("train", "--data", synthetic_data, *FROZEN, "--epochs", 2, "--run", "stopped")
    assert done.returncode == 0, done.stderr
    assert (workspace / "stopped/weights.safetensors").read_bytes() == (frozen / "weights.safetensors").read_bytes()
    for view in (workspace / "stopped" / "features").iterdir():
        view.unlink()
    done = cli_here("train", "--run", "stopped", "--resume", "--feature-views", 2)
    assert done.returncode == 0, done.stderr
    assert "resumed after epoch 2" in done.stderr


def test_a_branch_that_others_have_trained_stays_as_it_is(cli_here, trained, synthetic_data, workspace: Path) -> None:
    tensors = load_file(_earlier(workspace) / "weights.safetensors")
    others = {name.removeprefix("trunk."): tensor for name, tensor in tensors.items() if name.startswith("trunk.")}
    save_file(others, workspace / "others.safetensors")
    options = (*SETTINGS[:-4], "--fusion", "late", "--feature-views", 0, "--freeze-image-branch", "--epochs", 1)
    source = ("--pretrained-file", workspace / "others.safetensors")
    done = cli_here("train", "--data", synthetic_data, *options, *source, "--run", "features")
    assert done.returncode == 0, done.stderr
    after = load_file(workspace / "features" / "weights.safetensors")
    assert all(torch.equal(after[f"trunk.{name}"], tensor) for name, tensor in others.items())
    assert after["head.fusion.image.weight"].shape == (128, 512)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((*SETTINGS, "--freeze-image-branch"), ["--freeze-image-branch needs --start-from"]),
        ((*FROZEN, "--cutmix", "1"), ["cutmix", "leave it out"]),
        ((*FROZEN, "--compile"), ["--compile", "one process"]),
        (SETTINGS, ["--feature-views is for --freeze-image-branch"]),
    ],
    ids=["no start", "cutmix", "compile", "views alone"],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    cli_here, trained, synthetic_data, workspace: Path, options, words
) -> None:
    done = cli_here("train", "--data", synthetic_data, *options, "--run", "refused")
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not (workspace / "refused").exists()
