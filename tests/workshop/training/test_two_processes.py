"""One training in two real processes, which torchrun starts on this machine's CPUs, against the same in one process."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dermedge.config import TrainConfig
from dermedge.data.batches.augment import Augmentation
from dermedge.data.splits import make_split
from dermedge.models.branches import dermiresnet
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.train import Trainer, start_run, train
from dermedge_runtime.devices.usable_cpus import usable_cpus

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(usable_cpus() < 2, reason="two processes need two CPUs"),
    pytest.mark.skipif(sys.platform != "linux", reason="torchrun is tried on Linux alone"),
]
NARROW = (8, 8, 16, 16)
PLAIN = {"augmentation": Augmentation(False, 0.0, 0.0, 0.0, 0.0), "dropout": 0.0, "learning_rate": 1e-4}
CASES = {
    "step": {**PLAIN, "epochs": 1, "batch_size": 28},
    "curve": PLAIN,
    "averaged": {**PLAIN, "ema": 0.9, "schedule": "cosine", "batch_size": 8},  # the last batch has 4
    "resumed": PLAIN,
    "begun": PLAIN,
    "random": {"mixup": 0.3, "cutmix": 0.3, "hide_clinical": 0.3},
    "random again": {"mixup": 0.3, "cutmix": 0.3, "hide_clinical": 0.3},
}

# Trains the runs named on the command line, "begun" for one epoch only; every process notes what it ends with. At last
# the command line itself, in the same processes, because starting others takes seconds.
SCRIPT = f"""
import hashlib, json, sys
from contextlib import nullcontext
from pathlib import Path
import torch
from dermedge.training import training_job
from dermedge.commands.workshop import run as command
from dermedge.data.ham10000 import read_samples
from dermedge.models.branches import dermiresnet
from dermedge.training.processes import joined
from dermedge.training.run import Run
from dermedge.training.train import Trainer, go_on
from dermedge_runtime.commands.log_lines import log_on_stderr

dermiresnet.STAGE_CHANNELS = {NARROW}
with joined() as processes:
    runs = [Run.open(Path(name)) for name in sys.argv[1:]]
    for run in runs:
        config = run.config
        trainer = Trainer(config, read_samples(Path(config.data)), run, processes)
        if run.path.name == "begun":
            trainer.run_epoch(0)
        else:
            go_on(trainer)
        state = b"".join(tensor.numpy().tobytes() for tensor in trainer.model.state_dict().values())
        note = {{"seed": torch.initial_seed(), "state": hashlib.sha256(state).hexdigest(), "epochs": trainer.history}}
        (run.path / f"process-{{processes.rank}}.json").write_text(json.dumps(note))
    training_job.joined = lambda: nullcontext(processes)
    options = "--image-size 32 --epochs 2 --per-class 4 --batch-size 14 --fusion clinical_only".split()
    with log_on_stderr():
        command(["train", "--data", config.data, "--runs", str(runs[0].path.parent), *options])
    del trainer
threads = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
(runs[0].path / f"threads-{{processes.rank}}.json").write_text(json.dumps(threads))
"""


def torchrun(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """Run a script or module in two processes."""
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*start, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, **options
    )


@pytest.fixture(scope="module")
def new_run(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory):
    """Start a run of the narrow trunk, 3 epochs of 28 photographs at 32 px, without training it."""
    from dermedge.data.ham10000 import read_samples

    samples = read_samples(synthetic_data)

    def make(folder: str, name: str) -> tuple[TrainConfig, list, Run]:
        defaults = {"data": str(synthetic_data), "image_size": 32, "epochs": 3, "per_class": 4, "batch_size": 14}
        config = TrainConfig(**{**defaults, **CASES[name]})
        split = make_split(samples, config.protocol, config.seed)
        return config, samples, start_run(config, split, RunFolder(tmp_path_factory.mktemp(folder) / name))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dermiresnet, "STAGE_CHANNELS", NARROW)
        yield make


@pytest.fixture(scope="module")
def pairs_and_log(new_run, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, tuple[Run, ...]], str]:
    """Every case as (run of one process, run of two), and what the two wrote to standard error."""
    script = tmp_path_factory.mktemp("script") / "two.py"
    script.write_text(SCRIPT)
    runs = {}
    for name in CASES:
        config, samples, alone = new_run("alone", name)
        train(config, samples, alone)
        _, _, shared = new_run("shared", name)
        if name == "resumed":
            Trainer(config, samples, shared).run_epoch(0)
        runs[name] = (alone, shared)
    done = torchrun(script, *(shared.path for _, shared in runs.values()))
    assert done.returncode == 0, done.stderr
    config, samples = runs["begun"][1].config, runs["begun"][1].samples()
    train(config, samples, runs["begun"][1])
    return runs, done.stderr


@pytest.fixture(scope="module")
def pairs(pairs_and_log) -> dict[str, tuple[Run, ...]]:
    return pairs_and_log[0]


def losses(run: Run) -> list[float]:
    with run.history_file.open(encoding="utf-8") as stream:
        return [float(row["train_loss"]) for row in csv.DictReader(stream)]


def notes(run: Run) -> list[dict]:
    return [json.loads((run.path / f"process-{rank}.json").read_text()) for rank in range(2)]


def test_one_step_has_the_gradients_and_the_batch_statistics_of_the_whole_batch(pairs):
    alone, shared = (load_file(run.checkpoint_file) for run in pairs["step"])
    assert alone.keys() == shared.keys()
    moments = [name for name in alone if name.endswith("exp_avg")]  # a tenth of the gradient, after one step
    assert len(moments) > 50
    for name in moments:
        largest = float(alone[name].abs().max())
        torch.testing.assert_close(shared[name], alone[name], rtol=0, atol=1e-3 * largest, msg=name)
    statistics = [name for name in alone if "running_" in name or "num_batches" in name]
    assert len(statistics) > 30
    for name in statistics:
        torch.testing.assert_close(shared[name], alone[name], rtol=1e-5, atol=1e-6, msg=name)


def test_no_thread_of_the_group_is_left_to_abort_the_end_of_the_interpreter(pairs):
    for rank in range(2):
        threads = json.loads((pairs["step"][1].path / f"threads-{rank}.json").read_text())
        assert threads and not [name for name in threads if "gloo" in name]


# "resumed": one process trained the first epoch, two the others; "begun": the other way round.
@pytest.mark.parametrize("name", ["curve", "averaged", "resumed", "begun"])
def test_two_processes_learn_as_one_does(pairs, name):
    alone, shared = pairs[name]
    assert len(losses(alone)) == 3
    assert losses(shared) == pytest.approx(losses(alone), rel=1e-4)
    expected, tensors = load_file(alone.checkpoint_file), load_file(shared.checkpoint_file)
    assert tensors.keys() == expected.keys()
    assert any(key.startswith("average.") for key in tensors) == (name == "averaged")
    for key, tensor in expected.items():
        if key.startswith(("model.", "average.")) and tensor.is_floating_point():
            # A gradient that is rounding alone moves its weight by a whole step of Adam, one way or the other.
            gap = (tensors[key] - tensor).abs()
            steps = 2 * 1e-4 * 3 * (4 if name == "averaged" else 2)
            assert float(gap.max()) <= steps + 1e-3 * float(tensor.abs().max()), key
            assert float(gap.mean()) <= 1e-5 + 1e-4 * float(tensor.abs().mean()), key
    assert load_file(shared.weights_file).keys() == load_file(alone.weights_file).keys()


@pytest.mark.parametrize("name", CASES)
def test_all_processes_end_with_the_same_weights_and_the_same_history(pairs, name):
    first, second = notes(pairs[name][1])
    assert (first["state"], first["epochs"]) == (second["state"], second["epochs"])


def test_the_processes_draw_differently_and_every_time_the_same(pairs):
    first, second = notes(pairs["random"][1])
    assert first["seed"] % 2**32 != second["seed"] % 2**32
    one, again = (load_file(pairs[name][1].checkpoint_file) for name in ("random", "random again"))
    assert [name for name in one if not torch.equal(one[name], again[name])] == []
    assert losses(pairs["random"][1]) != losses(pairs["random"][0])


def test_the_command_line_trains_one_run_and_says_everything_once(pairs_and_log):
    pairs, log = pairs_and_log
    ours = [line.split()[0] for line in log.splitlines() if line.startswith(("42 images", "epoch ", "best weights"))]
    assert ours == ["42", "epoch", "epoch", "best"]
    run = Run.open(pairs["step"][1].path.parent / "clinical_only")
    assert len(losses(run)) == 2
    assert not list(run.path.glob("*.tmp"))


@pytest.mark.exhaustive  # two more starts; that they are refused, `test_processes` says
def test_more_processes_than_cpus_is_one_sentence_and_exit_code_5(synthetic_data, tmp_path):
    def bound() -> None:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    arguments = ("train", "--data", synthetic_data, "--image-size", 32, "--fusion", "clinical_only", "--device", "cpu")
    # As the README writes it: without the --, torchrun takes --run for a part of an option of its own.
    done = torchrun("-m", "--", "dermedge", *arguments, "--run", "runs/one", cwd=tmp_path, preexec_fn=bound)
    assert done.returncode != 0
    assert done.stderr.count("2 processes were started on") == 1
    assert "there are 1 usable CPUs: give torchrun --nproc-per-node 1" in done.stderr
    assert "exitcode  : 5" in done.stderr
    assert "dermedge/training/" not in done.stderr, "a traceback of ours"
    assert not (tmp_path / "runs").exists()
