import csv
import dataclasses
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dermedge.config import TrainConfig
from dermedge.data.splits import SPLITS
from dermedge.models.fusion import FUSIONS
from dermedge.training import logits
from dermedge.training.epoch_line import epoch_line
from dermedge.training.logits import predict_logits
from dermedge.training.train import Trainer, torch_device, train
from dermedge_runtime.errors import DermedgeError, DeviceUnavailable

_SELDOM = ("bilinear", "tensor", "metanet", "mmf_net", "late", "adaptive")
"""Fusions whose training is exhaustive: the large ones, and those that learn by layers which the others have too."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "fusion", [pytest.param(name, marks=pytest.mark.exhaustive if name in _SELDOM else ()) for name in FUSIONS]
)
def test_the_loss_falls_on_generated_pictures(new_run, samples, fusion):
    config, run = new_run(fusion=fusion, epochs=5, per_class=12, batch_size=28, seed=1)
    losses = [row["train_loss"] for row in train(config, samples, run)]
    assert losses[0] == pytest.approx(math.log(7), abs=0.4), "an untrained network guesses"
    assert losses[-1] < 0.8 * losses[0]


def test_the_history_file_holds_one_row_per_epoch(new_run, samples):
    config, run = new_run(epochs=3)
    history = train(config, samples, run)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    with run.history_file.open(encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream)) == [{key: str(value) for key, value in row.items()} for row in history]


def test_one_line_is_logged_per_epoch(new_run, samples, caplog):
    caplog.set_level("INFO", "dermedge.training")
    config, run = new_run(fusion="clinical_only")
    history = train(config, samples, run)
    assert caplog.messages == [epoch_line(row, 2) for row in history]


def test_a_line_of_the_log_says_what_matters():
    row = {"epoch": 3, "train_loss": 1.23456, "validation_accuracy": 0.5, "validation_balanced_accuracy": 0.25}
    row |= {"seconds": 12.4, "images_per_second": 99.6, "best": True}
    line = "epoch 3/9, loss 1.235, validation accuracy 0.500, balanced 0.250, 12 s, 100 images/s"
    assert epoch_line(row, 9) == f"{line}, best so far"
    assert epoch_line({**row, "best": False}, 9) == line
    row |= {"validation_balanced_accuracy": None, "validation_accuracy": None, "best": False}
    assert epoch_line(row, 9) == "epoch 3/9, loss 1.235, 12 s, 100 images/s"


def scripted(monkeypatch: pytest.MonkeyPatch, method: str, results: list) -> None:
    """Really run a step of the trainer, but give these results."""
    real, left = getattr(Trainer, method), iter(results)

    def step(self: Trainer, *args: object) -> object:
        real(self, *args)
        return next(left)

    monkeypatch.setattr(Trainer, method, step)


def run_and_keep(config: TrainConfig, samples, run) -> list[dict[str, torch.Tensor]]:
    """Train epoch by epoch and copy the network after each."""
    trainer, kept = Trainer(config, samples, run), []
    for epoch in range(config.epochs):
        trainer.run_epoch(epoch)
        kept.append({name: tensor.clone() for name, tensor in trainer.model.state_dict().items()})
    assert [row["best"] for row in trainer.history] == [True, False, True, False, False]
    return kept


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_best_weights_are_those_of_the_highest_validation_balanced_accuracy(new_run, samples, monkeypatch):
    rows = [
        {"validation_loss": 1.0 - i, "validation_accuracy": 0.1 * i, "validation_balanced_accuracy": value}
        for i, value in enumerate([0.2, 0.1, 0.5, 0.5, 0.4])
    ]
    scripted(monkeypatch, "_validate", rows)
    config, run = new_run(epochs=5)
    kept = run_and_keep(config, samples, run)
    best = load_file(run.weights_file)
    assert [equal(best, state) for state in kept] == [False, False, True, False, False]


def test_without_validation_the_best_weights_are_those_of_the_lowest_training_loss(new_run, samples, monkeypatch):
    scripted(monkeypatch, "_train", [(2.0, 0.1), (2.1, 0.9), (1.5, 0.1), (1.5, 0.9), (1.7, 0.9)])
    config, run = new_run(epochs=5, protocol="paper")
    kept = run_and_keep(config, samples, run)
    best = load_file(run.weights_file)
    assert [equal(best, state) for state in kept] == [False, False, True, False, False]
    with run.history_file.open(encoding="utf-8") as stream:
        assert {row["validation_balanced_accuracy"] for row in csv.DictReader(stream)} == {""}


def test_training_sees_the_training_split_alone(new_run, samples):
    config, run = new_run()
    trainer, split = Trainer(config, samples, run), run.split
    assert (len(trainer.data), len(trainer.validation)) == tuple(len(split.ids(name)) for name in SPLITS[:2])
    label_of = {sample.image_id: sample.label for sample in samples}
    assert trainer.data.labels.tolist() == [label_of[image_id] for image_id in split.ids("train")]


@pytest.mark.parametrize(("part", "counts"), [("train", True), ("validation", False), ("test", False)])
def test_the_encoder_is_fitted_on_the_training_split_only(new_run, samples, part, counts):
    config, run = new_run(fusion="clinical_only")
    changed_id = run.split.ids(part)[0]
    older = {"age": 119.0, "sex": "male", "site": "genital"}
    changed = [dataclasses.replace(s, clinical=older) if s.image_id == changed_id else s for s in samples]
    states = [Trainer(config, given, run).model.encoder.state_dict() for given in (samples, changed)]
    assert equal(*states) is not counts
    ages = [s.clinical["age"] for s in run.split.select(samples, "train") if "age" in s.clinical]
    assert states[0]["median"].tolist() == [np.median(ages)]


def test_a_loss_that_is_no_number_stops_the_training_and_writes_nothing(new_run, samples):
    config, run = new_run(fusion="clinical_only", learning_rate=1e30)
    with pytest.raises(DermedgeError, match=r"training loss of epoch 1 is (nan|inf)") as caught:
        train(config, samples, run)
    assert caught.value.exit_code == 1
    assert "Lower --learning-rate" in str(caught.value)
    assert not run.weights_file.exists() and not run.checkpoint_file.exists()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_precision_of_the_cpu_trains_and_keeps_float32_weights(new_run, samples, precision):
    config, run = new_run(precision=precision)
    history = train(config, samples, run)
    assert all(math.isfinite(row["train_loss"]) for row in history)
    weights = load_file(run.weights_file)
    assert {t.dtype for t in weights.values() if t.is_floating_point()} == {torch.float32}


def test_a_last_batch_of_one_photograph_trains_even_where_the_map_is_one_pixel(new_run, samples):
    config, run = new_run(epochs=1, per_class=3, batch_size=4)  # 21 photographs
    (row,) = train(config, samples, run)
    assert math.isfinite(row["train_loss"])


def test_settings_reach_the_network_and_the_optimiser(new_run, samples):
    config, run = new_run(fusion="clinical_only", learning_rate=0.02, weight_decay=0.3, dropout=0.45)
    trainer = Trainer(config, samples, run)
    assert type(trainer.optimizer) is torch.optim.Adam
    (group,) = trainer.optimizer.param_groups
    assert (group["lr"], group["weight_decay"], group["betas"]) == (0.02, 0.3, (0.9, 0.999))
    assert trainer.model.head.classifier[2].p == 0.45
    assert len(group["params"]) == len(list(trainer.model.parameters()))


@pytest.mark.parametrize(("setting", "value"), [("hide_clinical", 0.9), ("balance", 0.0), ("per_class", 5)])
def test_a_setting_of_the_draws_changes_what_is_learned(new_run, samples, setting, value):
    states = []
    for settings in ({}, {setting: value}):
        config, run = new_run(fusion="clinical_only", epochs=1, protocol="paper", **settings)
        train(config, samples, run)
        states.append(load_file(run.weights_file))
    assert not equal(*states)


@torch.no_grad()
def test_scores_come_from_the_network_in_evaluation_mode_in_order(new_run, samples, monkeypatch):
    config, run = new_run()
    trainer = Trainer(config, samples, run)
    monkeypatch.setattr(logits, "_BATCH", 5)
    scores = predict_logits(trainer.model.train(), trainer.data, torch.device("cpu"))
    (batch,) = trainer.data.batches(np.arange(len(trainer.data)), len(trainer.data), torch.device("cpu"))
    direct = trainer.model.eval()(batch.image, batch.numeric, batch.categorical)
    torch.testing.assert_close(scores, direct, rtol=1e-4, atol=1e-5)


def test_a_gpu_that_is_not_there_is_an_error_never_a_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceUnavailable, match=r"cuda was requested.*--device cpu") as caught:
        torch_device("cuda")
    assert caught.value.exit_code == 5
    assert torch_device("cpu") == torch.device("cpu")
