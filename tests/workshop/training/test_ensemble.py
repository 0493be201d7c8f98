"""An ensemble is a run of its own: the mean of its calibrated members, which share a split and are needed no longer."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from ensembles import random_run
from safetensors.torch import load_file

import dermedge
from dermedge.config import TrainConfig
from dermedge.data.ham10000 import read_samples
from dermedge.data.samples import Sample
from dermedge.data.synthetic import write_dataset
from dermedge.models.ensemble import mean_scores, probabilities_of
from dermedge.models.resizing import resizing_matrix
from dermedge.statistics.temperature import cross_entropy
from dermedge.training.checkpoint import save_weights
from dermedge.training.ensemble import LARGEST_TEMPERATURE
from dermedge.training.members import recorded_members
from dermedge.training.predictions import labels_of, torch_logits, torch_probabilities
from dermedge.training.run import Run
from dermedge_runtime.errors import DermedgeError, InputRejected, UsageError


@pytest.fixture(scope="module")
def many(shared_folder) -> Path:
    """280 lesions, 40 of each class."""
    return shared_folder.once("many lesions", lambda folder: write_dataset(folder, lesions_per_class=40))


@pytest.fixture(scope="module")
def many_samples(many: Path) -> list[Sample]:
    return read_samples(many)


@pytest.fixture
def new(many: Path, many_samples: list[Sample], tmp_path: Path):
    """Write a random run of these data, which reads clinical values alone unless told otherwise."""

    def make(name: str, fusion: str = "clinical_only", **settings) -> Run:
        return random_run(tmp_path / name, many, many_samples, fusion, **settings)

    return make


def test_it_answers_the_mean_of_its_calibrated_members_when_they_are_gone(new, many_samples, tmp_path):
    runs = [new("a", "concat", seed=1, image_size=64), new("b", seed=2), new("c", "image_only", seed=3)]
    run = dermedge.ensemble(runs, run=tmp_path / "e")
    validation = run.split.select(many_samples, "validation")
    labels, members = labels_of(validation), recorded_members(run)
    expected, fitted = [], []
    for member, own in zip(members, runs, strict=True):
        scores = torch_logits(own, validation)
        temperature = member.record["temperature"]
        if "shrunk" not in member.record and temperature < LARGEST_TEMPERATURE:  # the loss is least at what was found
            losses = [cross_entropy(scores / (factor * temperature), labels) for factor in (0.9, 1.0, 1.1)]
            assert min(losses) == losses[1]
            fitted.append(temperature)
        expected.append(torch.softmax(torch.from_numpy(scores) / temperature, dim=1).numpy())
    assert fitted, "one of the members is fitted, and at no bound"
    for own in runs:
        shutil.rmtree(own.path)
    found = torch_probabilities(Run.open(tmp_path / "e"), validation)
    # The smaller pictures of c are shrunk from larger ones.
    assert np.abs(found - np.mean(expected, axis=0)).max() < 1e-3
    assert np.abs(found - expected[0]).max() > 5e-3
    assert [member.record["name"] for member in members] == ["a", "b", "c"]
    assert members[2].record["shrunk"]["from"] == 32 and "shrunk" not in members[0].record
    assert (run.config.fusion, run.config.image_branch, run.config.image_size) == ("ensemble", "dermiresnet", 64)
    assert run.config.seed == TrainConfig(data="").seed and run.config.split_seed == 0


def test_scores_are_the_logarithm_of_the_mean_and_stay_numbers_where_all_are_sure():
    logits = [torch.tensor([[200.0, 0.0, -200.0]]), torch.tensor([[1.0, 2.0, 3.0]])]
    mean = torch.stack([torch.softmax(each, dim=1) for each in logits]).mean(dim=0)
    assert torch.softmax(mean_scores([probabilities_of(each) for each in logits]), dim=1) == pytest.approx(
        mean.numpy(), abs=1e-7
    )
    assert torch.isfinite(mean_scores([probabilities_of(logits[0])])).all()


@pytest.mark.parametrize(("size", "target"), [(8, 4), (9, 4), (4, 8), (5, 5)])
def test_resizing_is_pillows_up_to_its_rounding(size, target):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (size, size), dtype=np.uint8)
    matrix = resizing_matrix(size, target).numpy()
    pillows = np.asarray(Image.fromarray(pixels).resize((target, target), Image.Resampling.BILINEAR))
    assert np.abs(matrix @ pixels @ matrix.T - pillows).max() <= 1.01


def test_what_only_reads_pictures_or_values_says_so(new, tmp_path):
    clinical = dermedge.ensemble([new("a", seed=1), new("b", seed=2)], run=tmp_path / "e")
    assert clinical.config.fusion == "clinical_ensemble"
    pictures = [new(name, "image_only", seed=seed) for seed, name in enumerate("xy")]
    assert dermedge.ensemble(pictures, run=tmp_path / "f").config.fusion == "image_ensemble"
    late = dermedge.ensemble([pictures[0], tmp_path / "a"], run=tmp_path / "g")
    assert late.config.fusion == "ensemble"


def test_runs_that_do_not_go_together_are_refused_in_a_sentence(new, tmp_path):
    a, b = new("a", seed=1), new("b", seed=2)
    other = new("other", seed=3, split_seed=5)
    cases = [
        (UsageError, [a], "takes two runs or more, got 1"),
        (UsageError, [a, b, a.path], "have the same weights"),
        (
            InputRejected,
            [a, other],
            r"was trained on \d+ of the 84 lesions that the run in .* is validated or tested on \(SYN_\w+, SYN_",
        ),
        (InputRejected, [a, new("refit", seed=4, protocol="refit")], None),
        (UsageError, [a, new("imputed", seed=5, unknown="impute")], "trained with --unknown impute"),
        (DermedgeError, [a, tmp_path / "nothing"], "no training run"),
    ]
    for kind, runs, said in cases:
        with pytest.raises((kind, UsageError) if said is None else kind, match=said):
            dermedge.ensemble(runs, run=tmp_path / "e")
    pictures = [new("x", "image_only", seed=6), new("y", "image_only", seed=7, resample="lanczos")]
    with pytest.raises(UsageError, match="trained with resample lanczos"):
        dermedge.ensemble(pictures, run=tmp_path / "e")
    b.weights_file.unlink()
    with pytest.raises(DermedgeError, match="has no weights yet"):
        dermedge.ensemble([a, b.path], run=tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_values_that_are_scaled_alike_but_for_rounding_go_together(new, many_samples, tmp_path):
    a, b = new("a", seed=1), new("b", seed=2)
    tensors = load_file(b.weights_file)
    mean = float(tensors["encoder.mean"][0])
    for share, said in ((1e-6, None), (1e-3, "encode clinical values otherwise: the mean of age is")):
        save_weights(b.weights_file, {**tensors, "encoder.mean": torch.tensor([mean * (1 + share)])})
        if said is None:
            joined = load_file(dermedge.ensemble([a, b.path], run=tmp_path / "e").weights_file)
            assert joined["members.0.network.encoder.mean"] == joined["members.1.network.encoder.mean"]
        else:
            with pytest.raises(InputRejected, match=said):
                dermedge.ensemble([a, b.path], run=tmp_path / "f")
    mode = tensors["encoder.mode"].clone()
    mode[0] = 1 - mode[0]
    save_weights(b.weights_file, {**tensors, "encoder.mode": mode})
    with pytest.raises(InputRejected, match=r"the most frequent value of sex is \w+ in the one and \w+ in the other"):
        dermedge.ensemble([a, b.path], run=tmp_path / "f")


def test_it_is_written_where_nothing_is_lost_and_is_no_start_of_a_training(new, many, tmp_path):
    a, b = new("a", seed=1), new("b", seed=2)
    with pytest.raises(UsageError, match="is the data folder, which is only read"):
        dermedge.ensemble([a, b], run=many, overwrite=True)
    with pytest.raises(UsageError, match="is one of the runs"):
        dermedge.ensemble([a, b], run=a.path, overwrite=True)
    with pytest.raises(DermedgeError, match="holds a run already"):
        dermedge.ensemble([a, b], run=new("c", seed=3).path)
    run = dermedge.ensemble([a, b], run=tmp_path / "c", overwrite=True)
    for refused in (
        lambda: dermedge.ensemble([a, run], run=tmp_path / "e"),
        lambda: dermedge.train(many, fusion="clinical_only", teachers=run, run=tmp_path / "t"),
        lambda: dermedge.train(many, fusion="concat", start_from=run, run=tmp_path / "t"),
        lambda: dermedge.train(many, fusion="ensemble", run=tmp_path / "t"),
        lambda: dermedge.resume(run),
    ):
        with pytest.raises(UsageError, match="ensemble"):
            refused()
    assert not (tmp_path / "t").exists()


def test_a_damaged_record_is_told(new, tmp_path):
    run = dermedge.ensemble([new("a", seed=1), new("b", seed=2)], run=tmp_path / "e")
    record = json.loads(run.config_file.read_text())
    del record["members"][1]["settings"]
    run.config_file.write_text(json.dumps(record))
    with pytest.raises(DermedgeError, match="its members: missing 'settings'"):
        recorded_members(Run.open(run.path))


def test_runs_of_two_seeds_share_a_split(synthetic_data, tmp_path):
    settings = {"fusion": "clinical_only", "epochs": 1, "per_class": 4, "batch_size": 14, "device": "cpu"}
    runs = [
        dermedge.train(synthetic_data, run=tmp_path / str(seed), seed=seed, split_seed=3, **settings) for seed in (1, 2)
    ]
    assert runs[0].split == runs[1].split and runs[0].weights_sha256 != runs[1].weights_sha256
    other = dermedge.train(synthetic_data, run=tmp_path / "other", seed=3, **settings)
    assert other.split == runs[0].split
    run = dermedge.ensemble(runs, run=tmp_path / "e")
    # Too few validation lesions to fit a temperature.
    assert [member.record["temperature"] for member in recorded_members(run)] == [1.0, 1.0]
