"""A training that starts from weights that others have trained: from a package or a file; what is refused, and when."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import dermedge
from dermedge.models.branches.families import new_branch
from dermedge.training.start_weights import PRETRAINED, Pretrained
from dermedge_runtime.errors import DermedgeError, UsageError

NAME = "shufflenet_v2_x0_5"
SMALL = {"image_size": 32, "epochs": 1, "per_class": 2, "batch_size": 7, "device": "cpu", "fusion": "image_only"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(8)
    file = tmp_path_factory.mktemp("weights") / "ours.safetensors"
    save_file(new_branch(NAME).state_dict(), file)
    return file


@pytest.fixture(scope="module")
def from_file(weights: Path, synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dermedge.Run:
    """A run of one epoch whose image branch started from the file, and hardly moved."""
    folder = tmp_path_factory.mktemp("run")
    return dermedge.train(
        synthetic_data, run=folder, image_branch=NAME, pretrained_file=weights, learning_rate=1e-12, **SMALL
    )


def test_a_run_from_a_file_has_its_weights_and_says_so(from_file: dermedge.Run, weights: Path) -> None:
    trained, started = load_file(from_file.weights_file), load_file(weights)
    for name, tensor in started.items():
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(trained[f"trunk.{name}"], tensor, atol=1e-6), name
    record = from_file.record[PRETRAINED]
    assert record == {"source": "file ours.safetensors", "sha256": from_file.config.start_from, "licence": "unknown"}


def test_a_run_goes_on_only_with_the_weights_it_started_from(
    from_file: dermedge.Run, weights: Path, tmp_path: Path
) -> None:
    dermedge.resume(from_file, pretrained_file=weights)
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(1)}, other)
    with pytest.raises(UsageError, match=r"other settings: pretrained file ours\.safetensors -> .*other\.safetensors"):
        dermedge.resume(from_file, pretrained_file=other)
    with pytest.raises(UsageError, match=r"pretrained file ours\.safetensors -> weights of shufflenet_v2_x0_5"):
        dermedge.resume(from_file, pretrained=True)


def test_a_run_from_random_weights_is_not_taken_for_a_pretrained_one(trained_run, weights: Path) -> None:
    assert Pretrained().differences(trained_run) == ["pretrained nothing -> weights of dermiresnet"]
    assert Pretrained(file=weights).differences(trained_run) == [f"pretrained nothing -> {weights}"]


def test_the_file_of_a_run_is_for_start_from(from_file: dermedge.Run, synthetic_data: Path, tmp_path: Path) -> None:
    file = from_file.weights_file
    with pytest.raises(UsageError, match=r"weights of a whole run\. Name the run's folder with --start-from"):
        dermedge.train(synthetic_data, run=tmp_path / "r", image_branch=NAME, pretrained_file=file, **SMALL)


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        ({"image_branch": "resnet51"}, UsageError, "no image branch 'resnet51'; did you mean resnet50"),
        ({"image_branch": "vit_b_16"}, UsageError, "vit_b_16 ends in tokens"),
        ({"image_branch": "resnet18", "image_size": 100}, UsageError, "--image-size 100 .* take 96 or 128"),
        ({"image_branch": "alexnet", "image_size": 32}, UsageError, "32 is too small for alexnet: .* from 64 pixels"),
        ({"pretrained": True}, UsageError, "no pretrained weights of dermiresnet"),
        ({"download": True}, UsageError, "--download is for --pretrained: give both or neither"),
        ({"pretrained": True, "pretrained_file": "w.pth"}, UsageError, "leave --pretrained out"),
        ({"download": True, "pretrained_file": "w.pth"}, UsageError, "leave --download out"),
        ({"pretrained_file": "w.pth", "start_from": "r"}, UsageError, "--pretrained-file and --start-from both"),
        ({"pretrained_file": "w.pth"}, DermedgeError, "w.pth cannot be read: No such file"),
        ({"pretrained": True, "fusion": "clinical_only"}, UsageError, "clinical_only has none"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    settings: dict, error: type, reason: str, synthetic_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=reason):
        dermedge.train(synthetic_data, run=tmp_path / "run", **{**SMALL, **settings})
    assert list(tmp_path.iterdir()) == []


def test_dermiresnet_takes_every_size_that_it_took(synthetic_data: Path, tmp_path: Path) -> None:
    run = dermedge.train(synthetic_data, run=tmp_path / "run", **{**SMALL, "image_size": 45})
    assert run.config.image_size == 45
