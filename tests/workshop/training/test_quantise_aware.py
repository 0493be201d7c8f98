"""A training with INT8's rounding in the image branch: what it keeps, how it goes on, what it refuses."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

import dermedge
from dermedge.asked_settings import AskedSettings
from dermedge.training.checkpoint import save_weights
from dermedge.training.chosen_settings import refined_settings
from dermedge.training.predictions import trained_model, validation_answers
from dermedge.training.processes import ALONE, Processes
from dermedge.training.quantise_aware import QuantiseAware, check_quantise_aware
from dermedge.training.shifted_weights import recorded_shift
from dermedge.training.train import Trainer, train
from dermedge_runtime.errors import UsageError


@pytest.fixture
def earlier(new_run, samples):
    """A run of one epoch."""
    config, run = new_run(epochs=1, fusion="concat")
    train(config, samples, run)
    return run


@pytest.fixture
def rounded_run(new_run, earlier):
    """Start a quantisation-aware run from `earlier`."""

    def make(**settings):
        more = {"fusion": "concat", "quantise_aware": True, "start_from": earlier.weights_sha256}
        config, run = new_run(**more | settings)
        save_weights(run.start_file, load_file(earlier.weights_file))
        return config, run

    return make


def test_it_keeps_ordinary_weights_that_have_learned(rounded_run, earlier, samples):
    config, run = rounded_run(epochs=1)
    train(config, samples, run)
    before, after = load_file(earlier.weights_file), load_file(run.weights_file)
    assert list(after) == list(before)
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert {"trunk.conv1.weight", "trunk.stages.1.alpha", "head.classifier.0.weight"} <= moved
    assert not [name for name in moved if "running_" in name], "batch statistics stay"
    assert type(trained_model(run).trunk).__name__ == "DermiResNet" and run.record["settings"]["quantise_aware"]


def test_class_priors_are_shifted_in_the_network_that_is_published(rounded_run, samples):
    config, run = rounded_run(epochs=1, prior_shift="auto")
    train(config, samples, run)
    assert recorded_shift(run)["tau"] >= 0
    answers = validation_answers(run, samples)
    assert answers.logits.shape == (len(answers.labels), 7)


def test_validation_computes_with_the_rounding(rounded_run, samples):
    config, run = rounded_run(epochs=1)
    trainer = Trainer(config, samples, run, part=QuantiseAware(config, run.schema))
    plain = Trainer(replace(config, quantise_aware=False), samples, run)
    rounded, exact = trainer._validate(), plain._validate()
    assert 0 < abs(rounded["validation_loss"] - exact["validation_loss"]) < 0.1


@pytest.mark.parametrize("settings", [{}, {"ema": 0.9, "schedule": "cosine", "mixup": 0.2}], ids=["plain", "ema"])
def test_resuming_ends_as_if_never_interrupted(rounded_run, samples, settings):
    config, whole = rounded_run(**settings)
    train(config, samples, whole)
    _, run = rounded_run(**settings)
    Trainer(config, samples, run, part=QuantiseAware(config, run.schema)).run_epoch(0)
    assert len(train(config, samples, run)) == 2
    tensors, expected = load_file(run.checkpoint_file), load_file(whole.checkpoint_file)
    assert tensors.keys() == expected.keys() and any("quantisers.0" in name for name in tensors)
    assert [name for name in tensors if not torch.equal(tensors[name], expected[name])] == []
    assert run.weights_file.read_bytes() == whole.weights_file.read_bytes()
    assert all(tensor.isfinite().all() for tensor in load_file(run.weights_file).values())


def test_settings_are_the_earlier_runs_but_for_what_is_named(earlier):
    asked = AskedSettings.of(None, {"quantise_aware": True, "epochs": 2, "fusion": "gated"})
    config = refined_settings(replace(earlier.config, precision="bf16", freeze_image_branch=True), asked)
    assert (config.epochs, config.fusion, config.quantise_aware) == (2, "gated", True)
    assert (config.image_size, config.batch_size, config.data) == (32, 14, earlier.config.data)
    assert (config.freeze_image_branch, config.start_from) == (False, "")
    assert config.learning_rate == pytest.approx(0.1 * earlier.config.learning_rate)


def test_one_call_trains_from_a_run_and_its_settings(earlier, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run = dermedge.train(start_from=earlier, quantise_aware=True, epochs=2)
    assert run.path.name == f"{earlier.path.name}-quantised" and run.config.start_from == earlier.weights_sha256
    assert len(run.history_file.read_text().splitlines()) == 3
    with pytest.raises(UsageError, match="needs --start-from"):
        dermedge.train(earlier.config.data, quantise_aware=True)


@pytest.mark.parametrize(
    ("changes", "processes", "words"),
    [
        ({"fusion": "clinical_only"}, ALONE, "clinical_only has none"),
        ({"freeze_image_branch": True}, ALONE, "--freeze-image-branch keeps it"),
        ({"precision": "bf16"}, ALONE, "--precision bf16 would round it again"),
        ({}, Processes(0, 2, 0, 2), "leave torchrun and --compile"),
    ],
    ids=["no picture", "frozen", "bf16", "two processes"],
)
def test_what_makes_no_sense_is_refused(earlier, changes, processes, words):
    with pytest.raises(UsageError, match=words):
        check_quantise_aware(replace(earlier.config, **changes), processes, compiled=False)
