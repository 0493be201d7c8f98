import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dermedge.training.checkpoint import load_checkpoint
from dermedge.training.run import Run
from dermedge.training.train import Trainer, train
from dermedge_runtime.errors import DermedgeError

TIMES = ("seconds", "images_per_second")


def timeless(history: list[dict]) -> list[dict]:
    return [{key: value for key, value in row.items() if key not in TIMES} for row in history]


def history_of(run: Run, config, samples) -> list[dict]:
    trainer = Trainer(config, samples, run)
    trainer.restore()
    return trainer.history


def assert_same_end(run: Run, other: Run, config, samples) -> None:
    """Compare bit by bit: network, optimiser and average (all in the checkpoint), best weights, history."""
    tensors, expected = load_file(run.checkpoint_file), load_file(other.checkpoint_file)
    assert tensors.keys() == expected.keys()
    assert {name.split(".")[0] for name in tensors} == {"model", "optimizer", *(["average"] if config.ema else [])}
    assert [name for name in tensors if not torch.equal(tensors[name], expected[name])] == []
    assert run.weights_file.read_bytes() == other.weights_file.read_bytes()
    assert timeless(history_of(run, config, samples)) == timeless(history_of(other, config, samples))


@pytest.mark.parametrize("fusion", ["cross_attention", "clinical_only"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"ema": 0.9},
        {"schedule": "cosine"},
        {"schedule": "cosine", "ema": 0.99, "weight_decay": 0.1, "protocol": "paper"},
        {"precision": "bf16", "hide_clinical": 0.3, "balance": 0.5},
    ],
    ids=lambda settings: "-".join(settings) or "defaults",
)
def test_resuming_after_any_epoch_ends_as_if_never_interrupted(new_run, samples, caplog, settings, fusion):
    caplog.set_level("INFO", "dermedge.training")
    config, whole = new_run(epochs=3, fusion=fusion, **settings)
    train(config, samples, whole)
    for done in (1, 2):
        _, run = new_run(epochs=3, fusion=fusion, **settings)
        first = Trainer(config, samples, run)
        for epoch in range(done):
            first.run_epoch(epoch)
        caplog.clear()
        history = train(config, samples, run)
        assert caplog.messages[0] == f"resumed after epoch {done}"
        assert len(caplog.messages) == 1 + 3 - done and len(history) == 3
        assert_same_end(run, whole, config, samples)


def test_resuming_twice_is_as_good_as_once(new_run, samples):
    config, whole = new_run(epochs=3)
    train(config, samples, whole)
    _, run = new_run(epochs=3)
    for epoch in range(3):
        trainer = Trainer(config, samples, run)
        if epoch:
            trainer.restore()
        trainer.run_epoch(epoch)
    assert_same_end(run, whole, config, samples)


def test_a_finished_run_is_left_as_it_is(new_run, samples):
    config, run = new_run()
    history = train(config, samples, run)
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    assert train(config, samples, run) == history
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


# A training that ends itself with SIGKILL, which no handler sees, at the given moment of its second epoch.
KILLED = """
import os, signal, sys
from pathlib import Path
from dermedge.training import train as module, trained_part
from dermedge.data.ham10000 import read_samples
from dermedge.models.branches import dermiresnet
from dermedge.training.run import Run

dermiresnet.STAGE_CHANNELS = {channels}
run, moment, calls = Run.open(Path(sys.argv[1])), sys.argv[2], []
config = run.config

def die_at(number, function, before=lambda *args: None):
    def step(*args, **more):
        calls.append(1)
        if len(calls) == number:
            before(*args)
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **more)
    return step

if moment == "between two steps":
    trained_part.augment = die_at(4, trained_part.augment)
elif moment == "between weights and checkpoint":
    module.save_checkpoint = die_at(2, module.save_checkpoint)
else:
    write, half = Path.write_bytes, lambda path, content: write(path, content[: len(content) // 2])
    late = die_at(2, write, half)
    Path.write_bytes = lambda path, content: (late if "checkpoint" in path.name else write)(path, content)
module.train(config, read_samples(Path(config.data)), run)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is a POSIX signal")
@pytest.mark.parametrize(
    "moment",
    [
        # Nothing is being written then, and what was written is that of the tests above.
        pytest.param("between two steps", marks=pytest.mark.exhaustive),
        "between weights and checkpoint",
        "while the checkpoint is written",
    ],
)
def test_a_killed_training_goes_on_to_the_very_same_weights(new_run, samples, caplog, moment):
    settings = {"epochs": 3, "ema": 0.9, "schedule": "cosine"}
    config, whole = new_run(**settings)
    train(config, samples, whole)
    _, run = new_run(**settings)
    script = KILLED.format(channels=(8, 8, 16, 16))
    done = subprocess.run([sys.executable, "-c", script, os.fspath(run.path), moment], capture_output=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert len(history_of(run, config, samples)) == 1, "the first epoch is whole, the second never was"
    caplog.set_level("INFO", "dermedge.training")
    train(config, samples, run)
    assert caplog.messages[0] == "resumed after epoch 1"
    assert not list(run.path.glob(".*")), "what the killed process was writing is gone"
    assert_same_end(run, whole, config, samples)


def test_the_average_is_what_is_kept_and_it_differs_from_the_network(new_run, samples):
    config, run = new_run(epochs=1, ema=0.9)
    train(config, samples, run)
    tensors, kept = load_file(run.checkpoint_file), load_file(run.weights_file)
    assert all(torch.equal(kept[name], tensors[f"average.{name}"]) for name in kept)
    assert not torch.equal(kept["head.classifier.0.weight"], tensors["model.head.classifier.0.weight"])


def test_a_young_average_forgets_the_random_start(new_run, samples):
    config, run = new_run(fusion="clinical_only", epochs=1, ema=0.999, batch_size=28)  # one step
    trainer = Trainer(config, samples, run)
    start = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    trainer.run_epoch(0)
    kept = load_file(run.weights_file)
    for name, tensor in trainer.model.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(kept[name], 0.1 * start[name] + 0.9 * tensor)


def test_a_restored_optimiser_has_the_layout_of_its_parameters(new_run, samples):
    config, run = new_run(epochs=1)
    train(config, samples, run)
    trainer = Trainer(config, samples, run)
    load_checkpoint(Path(run.checkpoint_file), trainer.model, trainer.optimizer, trainer.average)
    (group,) = trainer.optimizer.param_groups
    assert len(group["params"]) == len(list(trainer.model.parameters())) > 20
    for parameter in group["params"]:
        assert trainer.optimizer.state[parameter]["exp_avg"].stride() == parameter.stride()
        assert trainer.optimizer.state[parameter]["exp_avg_sq"].stride() == parameter.stride()


@pytest.mark.parametrize("damage", ["missing", "a folder", "rubbish"])
def test_best_weights_that_are_gone_are_told_before_a_run_goes_on(new_run, samples, damage):
    config, run = new_run(epochs=2)
    Trainer(config, samples, run).run_epoch(0)
    run.weights_file.unlink()
    if damage == "a folder":
        run.weights_file.mkdir()
    elif damage == "rubbish":
        run.weights_file.write_bytes(b"rubbish")
    before = run.checkpoint_file.read_bytes()
    with pytest.raises(DermedgeError, match=r"weights\.safetensors.* (is a folder|cannot be loaded: )"):
        train(config, samples, run)
    assert run.checkpoint_file.read_bytes() == before


@pytest.mark.parametrize("name", ["checkpoint_file", "history_file"])
def test_a_folder_in_the_place_of_a_file_is_told_before_a_run_goes_on(new_run, samples, name):
    config, run = new_run(epochs=2)
    Trainer(config, samples, run).run_epoch(0)
    path, weights = getattr(run, name), run.weights_file.stat().st_mtime_ns
    path.unlink()
    path.mkdir()
    with pytest.raises(DermedgeError, match="is a folder, and a training writes a file there"):
        train(config, samples, run)
    assert run.weights_file.stat().st_mtime_ns == weights
