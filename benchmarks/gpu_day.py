"""Everything that wants a GPU, in one command: trainings that a laptop cannot do, and latencies on the card.

    pip install '.[train,pretrained,cuda]'
    python benchmarks/gpu_day.py --data path/to/ham10000 --out gpu-day          # begun again, it goes on
    python benchmarks/gpu_day.py --data path/to/ham10000 --out gpu-day --dry-run

| step | what it is |
|---|---|
| `teacher-*` | EfficientNet-Lite1 at 256 px and Lite2 at 288 px, to teach the box |
| `box-*` | the model in the box at 224 px, distilled from them, three seeds |
| `paper` | the paper's own setting once: 100 epochs of 42,000 draws at 256 px, for its 2 hours on an RTX 4060 |
| `export-*` | the first box in FP32, FP16 and INT8, through the parity gate |
| `latency-*` | ONNX Runtime's providers with and without CUDA graphs, torch eager and compiled |

Every training's `history.csv` has images a second and seconds per epoch; `summary.json` adds them up. A step that fails
ends the command with its exit code; what is done stays done. Teachers are of one seed, so one split: the boxes of other
seeds are trained without them.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermedge.training.run_names import run_name
from dermedge_runtime.files import write_json

SEEDS = (0, 1, 2)
_ROOT = Path(__file__).resolve().parent.parent
_DERMEDGE = (sys.executable, "-m", "dermedge")
_RECIPE = (
    *("--fusion", "concat", "--pretrained", "--balance", "0.5", "--weight-decay", "0.02", "--schedule", "cosine"),
    *("--ema", "0.998", "--label-smoothing", "0.05", "--noise", "0.01", "--colour", "0.1", "--hide-clinical", "0.1"),
    *("--hide-patient", "0.25", "--learning-rate", "0.001", "--image-branch-rate", "0.6", "--batch-size", "32"),
    *("--prior-shift", "auto"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and what is there when it has been done."""

    name: str
    command: tuple[str, ...]
    done: Path
    """A file, or the folder of a run: done when its history has all epochs."""
    epochs: int = 0

    @property
    def is_done(self) -> bool:
        """Whether the command need not be run again."""
        return len(history(self.done)) == self.epochs if self.epochs else self.done.is_file()

    @property
    def to_run(self) -> tuple[str, ...]:
        """The command; a training that was begun goes on."""
        return (*self.command, "--resume") if self.epochs and history(self.done) else self.command


def history(run: Path) -> list[dict[str, str]]:
    """Read the rows of a run's history; none where it has none."""
    file = run / "history.csv"
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) if file.is_file() else []


def steps(data: Path, out: Path, device: str, *, small: bool = False) -> Iterator[Step]:
    """List the commands in their order.

    :param small: the same steps with an epoch of few draws at 64 px, to see that they run.
    """
    epochs, per_class = (1, 20) if small else (20, 2000)
    shared = ("--data", str(data), "--device", device, "--epochs", str(epochs), "--per-class", str(per_class))

    def training(name: str, branch: str, size: int, seed: int, *more: str) -> Step:
        run = out / name
        given = ("--image-branch", branch, "--image-size", str(64 if small else size), "--seed", str(seed))
        return Step(name, (*_DERMEDGE, "train", *shared, *_RECIPE, *given, *more, "--run", str(run)), run, epochs)

    teachers = [
        training("teacher-lite1", "efficientnet_lite1", 256, 0),
        training("teacher-lite2", "efficientnet_lite2", 288, 0),
    ]
    yield from teachers
    taught = ("--teacher", ",".join(str(each.done) for each in teachers))
    for seed in SEEDS:
        yield training(f"box-{seed}", "efficientnet_lite0", 224, seed, *(taught if seed == 0 else ()))
    paper = (*_DERMEDGE, "train", "--data", str(data), "--device", device, "--protocol", "paper")
    small_paper = ("--epochs", "1", "--per-class", "20", "--image-size", "64") if small else ()
    yield Step("paper", (*paper, *small_paper, "--run", str(out / "paper")), out / "paper", 1 if small else 100)
    box, files = out / "box-0", []
    for precision in ("fp32", "fp16", "int8"):
        files.append(out / "models" / f"{run_name('efficientnet_lite0', 'concat')}-{precision}.onnx")
        options = () if precision == "fp32" else (f"--{precision}",)
        command = (*_DERMEDGE, "export", "--run", str(box), *options, "--models", str(out / "models"))
        yield Step(f"export-{precision}", command, files[-1])
    check = out / "gpu-check.json"
    devices = () if device == "cuda" else ("--devices", device)
    command = (sys.executable, "-m", "benchmarks.gpu_check", *map(str, files), *devices, "--out", str(check))
    yield Step("latency-providers", command, check)
    torch_file = out / "torch-on-gpu.json"
    command = (sys.executable, "-m", "benchmarks.torch_on_gpu", str(box), str(files[0]), "--device", device)
    yield Step("latency-torch", (*command, "--out", str(torch_file)), torch_file)


def summary(done: Sequence[Step]) -> dict[str, Any]:
    """Add up every training: hours, median images a second, its best row on validation."""
    found = {}
    for step in done:
        if not step.epochs:
            continue
        rows = history(step.done)
        best = [row for row in rows if row["best"] == "True"]
        speeds = sorted(float(row["images_per_second"]) for row in rows)
        found[step.name] = {
            "hours": round(sum(float(row["seconds"]) for row in rows) / 3600, 3),
            "images_per_second": speeds[len(speeds) // 2],
            "best": best[-1] if best else None,
        }
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is not done yet; write the summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("gpu-day"), help="default: %(default)s")
    parser.add_argument("--device", default="cuda", help="default: %(default)s")
    parser.add_argument("--small", action="store_true", help="tiny trainings, to see that all steps run")
    parser.add_argument("--only", default="", help="comma-separated beginnings of step names")
    parser.add_argument("--dry-run", action="store_true", help="print the commands that would be run")
    options = parser.parse_args(arguments)
    wanted = tuple(options.only.split(","))
    chosen = [
        each
        for each in steps(options.data.resolve(), options.out.resolve(), options.device, small=options.small)
        if each.name.startswith(wanted)
    ]
    for step in chosen:
        if step.is_done:
            print(f"{step.name}: done before")
            continue
        print(f"{step.name}: {shlex.join(step.to_run)}", flush=True)
        if options.dry_run:
            continue
        options.out.mkdir(parents=True, exist_ok=True)
        if code := subprocess.run(step.to_run, cwd=_ROOT, check=False).returncode:
            print(f"{step.name} ended with exit code {code}", file=sys.stderr)
            return code
    if not options.dry_run:
        write_json(options.out / "summary.json", summary(chosen))
    return 0


if __name__ == "__main__":
    sys.exit(main())
