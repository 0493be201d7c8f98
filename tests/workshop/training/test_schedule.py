import math

import pytest
import torch
from torch import nn

from dermedge.config import TrainConfig
from dermedge.training.schedule import learning_rate_at, update_average
from dermedge.training.train import train

CONSTANT = TrainConfig(data="", learning_rate=0.1, epochs=10)
COSINE = TrainConfig(data="", learning_rate=0.1, epochs=10, schedule="cosine")


@pytest.mark.parametrize("progress", [0.0, 0.3, 5.0, 10.0])
def test_a_constant_rate_is_constant(progress):
    assert learning_rate_at(progress, CONSTANT) == 0.1


@pytest.mark.parametrize(
    ("progress", "rate"),
    [
        (0.0, 0.1 * 0.02),
        (0.5, 0.1 * 0.52 * 0.5 * (1 + math.cos(math.pi / 20))),
        (1.0, 0.1 * 0.5 * (1 + math.cos(math.pi / 10))),
        (5.0, 0.05),
        (10.0, 0.0),
    ],
)
def test_cosine_warms_up_for_an_epoch_and_falls_to_zero(progress, rate):
    assert learning_rate_at(progress, COSINE) == pytest.approx(rate, abs=1e-12)


def test_cosine_never_exceeds_the_set_rate_and_falls_after_the_warm_up():
    rates = [learning_rate_at(step / 10, COSINE) for step in range(101)]
    assert min(rates) >= 0 and max(rates) <= 0.1
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_history_records_the_rate_of_each_epochs_last_step(new_run, samples, schedule):
    config, run = new_run(fusion="clinical_only", epochs=3, schedule=schedule, learning_rate=0.01)
    history = train(config, samples, run)
    assert [row["learning_rate"] for row in history] == [learning_rate_at(e + 0.5, config) for e in range(3)]


def test_an_average_moves_by_one_minus_decay_and_copies_counts():
    model = nn.BatchNorm1d(2)
    average = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    with torch.no_grad():
        model.weight.copy_(torch.tensor([1.0, 10.0]))
        model.num_batches_tracked.fill_(7)
    for expected in ([0.25, 2.5], [0.4375, 4.375]):
        update_average(average, model, decay=0.75)
        assert average["weight"].tolist() == pytest.approx(expected)
    assert average["running_var"].tolist() == pytest.approx([0.4375, 0.4375])
    assert average["num_batches_tracked"].item() == 7
    assert model.weight.tolist() == [1, 10]
    assert not average["weight"].requires_grad


def test_decay_zero_takes_the_model_as_it_is():
    model = nn.Linear(2, 2)
    average = {name: torch.zeros_like(tensor) for name, tensor in model.state_dict().items()}
    update_average(average, model, decay=0.0)
    assert torch.equal(average["weight"], model.weight)
