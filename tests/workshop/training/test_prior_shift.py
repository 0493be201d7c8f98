"""The shift of class priors: what is chosen, where it is kept, who applies it, and that nobody does twice."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dermedge.data.ham10000 import HAM10000
from dermedge.statistics.metrics import balanced_accuracy
from dermedge.statistics.operating_point import recall_at_specificity
from dermedge.training import train as train_module
from dermedge.training.checkpoint import read_tensors
from dermedge.training.predictions import torch_probabilities, trained_model, validation_answers
from dermedge.training.prior_shift import GRID, Validation, choose_shift
from dermedge.training.run import Run
from dermedge.training.shifted_weights import recorded_shift
from dermedge.training.start_weights import start_weights
from dermedge.training.train import check_ready, train
from dermedge.training.training_job import shift_priors
from dermedge_runtime.errors import UsageError

BIAS = "head.classifier.3.bias"


def test_auto_takes_the_best_of_the_grid_and_says_what_each_gives():
    labels = np.array([5] * 80 + [4] * 16 + [3] * 4)
    draw = np.random.default_rng(0)
    logits = torch.from_numpy(draw.normal(size=(100, 7))).float()
    logits[torch.arange(100), torch.from_numpy(labels)] += 1.5
    counts = np.bincount(labels, minlength=7)
    logits += torch.from_numpy(np.log(counts + 1)).float()
    record = choose_shift("auto", labels, HAM10000, lambda: Validation(logits, labels))
    priors = [None if not n else pytest.approx(np.log(n / 100)) for n in counts]
    assert record["log_priors"] == priors and record["chosen_on"] == "validation"
    for row in record["grid"]:
        moved = logits.numpy() - np.array([row["tau"] * (each or 0) for each in record["log_priors"]])
        assert row["balanced_accuracy"] == pytest.approx(balanced_accuracy(labels, moved.argmax(1)))
        assert row["accuracy"] == pytest.approx(np.mean(labels == moved.argmax(1)))
    assert [row["tau"] for row in record["grid"]] == list(GRID)
    chosen = next(row for row in record["grid"] if row["tau"] == record["tau"])
    affordable = [row for row in record["grid"] if not _costs_too_much(row, record["grid"][0])]
    assert chosen in affordable and chosen["tau"] > 0
    best = max(row["balanced_accuracy"] for row in affordable)
    assert chosen["balanced_accuracy"] == best > record["grid"][0]["balanced_accuracy"] + 0.05


def _costs_too_much(row, unshifted):
    names = ("accuracy", "melanoma_recall_at_90_specificity")
    return any(row[name] < unshifted[name] - 0.03 for name in names)


def test_auto_does_not_pay_for_a_rare_class_with_the_common_ones():
    labels = np.array([5] * 90 + [4] * 9 + [3])
    logits = torch.zeros(100, 7)
    logits[:, 5] = 3.0
    logits[90:99, 4] = 5.0
    logits[99, 3] = 2.0  # named dermatofibroma only by a shift that most nevi do not survive
    logits[:60, 3] = 2.5
    record = choose_shift("auto", labels, HAM10000, lambda: Validation(logits, labels))
    best = max(record["grid"], key=lambda row: row["balanced_accuracy"])
    assert _costs_too_much(best, record["grid"][0]), "otherwise this proves nothing"
    assert record["tau"] == 0


def test_the_best_epoch_is_the_best_after_its_shift(new_run, samples):
    config, run = new_run(prior_shift="auto", epochs=4, learning_rate=0.003)
    rows = train(config, samples, run)
    after = [row["validation_balanced_accuracy_after_shift"] for row in rows]
    assert [row["best"] for row in rows] == [value > max([-1, *after[:at]]) for at, value in enumerate(after)]
    chosen = recorded_shift(run)
    assert next(row for row in chosen["grid"] if row["tau"] == chosen["tau"])["balanced_accuracy"] == max(after)


def test_recall_at_a_specificity_is_that_of_the_best_threshold_that_keeps_it():
    positive = np.array([False] * 10 + [True] * 4)
    scores = np.array([0.1] * 8 + [0.6, 0.9] + [0.95, 0.7, 0.6, 0.05])
    assert recall_at_specificity(positive, scores) == 0.5, "0.7 lets one of ten through; at 0.6 it were two"
    assert recall_at_specificity(positive, scores, 1.0) == 0.25
    assert recall_at_specificity(positive[10:], scores[10:]) is None


def test_a_training_ends_with_its_shift_and_everybody_reads_the_shifted_network(new_run, samples):
    config, plain = new_run()
    train(config, samples, plain)
    after, run = new_run(prior_shift=0.5)
    train(after, samples, run)
    record = recorded_shift(run)
    labels = [sample.label for sample in run.split.select(samples, "train")]
    log_priors = np.log(np.bincount(labels, minlength=7) / len(labels))
    assert record == {"tau": 0.5, "chosen_on": "given", "log_priors": pytest.approx(list(log_priors))}
    assert torch.equal(read_tensors(run.weights_file)[BIAS], read_tensors(plain.weights_file)[BIAS])
    chosen = run.split.select(samples, "test")
    before, shifted = (np.log(torch_probabilities(each, chosen)) for each in (plain, run))
    change = shifted - before + 0.5 * log_priors
    np.testing.assert_allclose(change, np.broadcast_to(change[:, :1], change.shape), atol=1e-5)
    assert start_weights(run.path, after, HAM10000, run.split).tensors.keys() == trained_model(run).state_dict().keys()


def test_killed_before_the_shift_is_written_it_is_written_once_by_the_resumed(new_run, samples, monkeypatch):
    config, run = new_run(prior_shift="auto", ema=0.5)

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "write_shift", killed)
        with pytest.raises(KeyboardInterrupt):
            train(config, samples, run)
    assert recorded_shift(run) is None
    train(config, samples, run)
    once, record = run.weights_sha256, recorded_shift(run)
    assert record is not None and len(record["grid"]) == len(GRID)
    train(config, samples, run)
    assert run.weights_sha256 == once
    answers = validation_answers(run, samples)
    assert record["grid"][0]["accuracy"] == float(np.mean(answers.logits.argmax(1).numpy() == answers.labels))


def test_a_finished_run_takes_another_shift_in_the_place_of_its_own(new_run, samples):
    config, run = new_run()
    train(config, samples, run)
    plain, unshifted = run.weights_sha256, trained_model(run).state_dict()[BIAS]
    for tau in (1.0, 0.25, "auto"):
        record = shift_priors(run.path, tau)
    assert record["grid"][0]["tau"] == 0 and Run.open(run.path).weights_sha256 != plain
    shift_priors(run.path, 1.0)
    moved = trained_model(run).state_dict()[BIAS] - unshifted
    torch.testing.assert_close(moved, -torch.tensor(record["log_priors"]), atol=1e-5, rtol=0)
    shift_priors(run.path, 0.0)
    assert torch.equal(trained_model(run).state_dict()[BIAS], unshifted)


@pytest.mark.parametrize("protocol", ["refit", "paper"])
def test_auto_without_a_validation_split_is_refused_in_one_sentence(new_run, samples, protocol):
    config, run = new_run(protocol=protocol)
    with pytest.raises(UsageError, match=f"The protocol {protocol} has no validation split"):
        check_ready(replace(config, prior_shift="auto"), samples, run.split, HAM10000)
    with pytest.raises(UsageError, match="has no validation split"):
        shift_priors(run.path, "auto")
