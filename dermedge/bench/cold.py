"""Whole processes from a cold start: wall time and peak memory of `dermedge infer`, against a bare script and torch."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.model.model_file import read_model_file

if TYPE_CHECKING:
    from dermedge.training.run import Run

_ROUNDS = 7

# What nobody can do without: import the three packages, open the same file, read the picture, predict once.
BARE_SCRIPT = """
import sys
import numpy as np
import onnxruntime as ort
from PIL import Image
options = ort.SessionOptions()
options.log_severity_level = 3
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
feed = {}
for value in session.get_inputs():
    if value.name == "image":
        pixels = Image.open(sys.argv[2]).convert("RGB")
        if isinstance(value.shape[1], int):  # else the graph resizes
            pixels = pixels.resize(value.shape[1:3], Image.Resampling.BILINEAR)
        feed["image"] = np.asarray(pixels)[None]
    else:
        dtype = np.float32 if value.name == "numeric" else np.int32
        feed[value.name] = np.zeros((1, *value.shape[1:]), dtype)
print(session.run(["probabilities"], feed)[0][0])
"""

TORCH_SCRIPT = """
import sys
from pathlib import Path
from dermedge.bench.torch_contender import EagerModel
from dermedge.training.run import Run
print(EagerModel(Run.open(Path(sys.argv[1]))).predict(Path(sys.argv[2]), {}))
"""


# A small process that starts the command and measures it: on Linux a child's peak memory is at least that of the
# process it was started from, and the benchmark itself is large.
_LAUNCHER = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
if hasattr(os, "wait4"):
    _, status, usage = os.wait4(process.pid, 0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
else:
    code, peak = process.wait(), None
wall = time.perf_counter() - started
if code:
    sys.exit(1)
print(json.dumps([wall, peak]))
"""


def model_names(models: Sequence[Path]) -> dict[Path, str]:
    """Short names of model files: the file's, or the whole path where two files have the same."""
    stems = [path.stem for path in models]
    return {path: path.stem if stems.count(path.stem) == 1 else str(path.with_suffix("")) for path in models}


def cold_starts(
    models: Sequence[Path],
    devices: Sequence[str],
    absent: Mapping[str, str],
    picture: Path,
    torch_runs: Mapping[str, Run],
) -> list[dict[str, Any]]:
    """Time each command as a whole process, the commands in turn.

    :param torch_runs: runs whose weights torch runs, by the name of the contender.
    :return: one row per command: median seconds, and peak memory in MB (None where the system does not tell).
    """
    commands = {"dermedge --help": [sys.executable, "-m", "dermedge", "--help"]}
    for path, name in model_names(models).items():
        commands[f"bare script, {name} (cpu)"] = [sys.executable, "-c", BARE_SCRIPT, str(path), str(picture)]
        shown = [str(picture)] if read_model_file(path).spec.image is not None else []
        for device in devices:
            if device not in absent:
                command = [sys.executable, "-m", "dermedge", "infer", *shown, "--model", str(path), "--device", device]
                commands[f"dermedge infer, {name} ({device})"] = command
    for name, run in torch_runs.items():
        commands[name] = [sys.executable, "-c", TORCH_SCRIPT, str(run.path), str(picture)]
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    memory: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(_ROUNDS + 1):
        for name, command in commands.items():
            wall, peak = run_measured(command)
            if turn:  # the first turn fills the disk cache
                seconds[name].append(wall)
                memory[name] += [] if peak is None else [peak]
    return [
        {
            "command": name,
            "median_s": round(statistics.median(seconds[name]), 3),
            "peak_mb": round(max(memory[name]), 1) if memory[name] else None,
        }
        for name in commands
    ]


def run_measured(command: Sequence[str]) -> tuple[float, float | None]:
    """Run a whole process; wall seconds and peak memory in MB (None where the system does not tell).

    :raises DermedgeError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-c", _LAUNCHER, *command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DermedgeError(f"{' '.join(command[:5])} failed: {done.stderr[-500:]}")
    wall, peak = json.loads(done.stdout)
    return wall, peak
