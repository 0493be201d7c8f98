"""How fast does torch itself run a trained network on this device: eager, and compiled as far as it goes?

    python -m benchmarks.torch_on_gpu RUN MODEL.onnx [--device cuda] [--out torch-on-gpu.json]

To stand beside `gpu_check.py`, which times ONNX Runtime's providers on the same card. Torch is given ready tensors on
the device and answers with probabilities alone, so what it is spared (the explanation, copies) is its advantage.
Its probabilities are compared with those of MODEL on the CPU; another weight file than the run's is refused.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import benchmarks.gpu_check as gpu_check
from dermedge.bench.bench import machine_record
from dermedge.training.predictions import trained_model
from dermedge.training.run import Run
from dermedge_runtime import Classifier
from dermedge_runtime.files import write_json

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16}


def contenders(run: Run, device: torch.device, modes: Sequence[str]) -> dict[str, Callable[..., torch.Tensor]]:
    """Make what is timed, by name: every mode in every precision that the device is for."""
    found: dict[str, Callable[..., torch.Tensor]] = {}
    for precision in PRECISIONS if device.type == "cuda" else ("fp32",):
        network = trained_model(run).to(device).to(memory_format=torch.channels_last)

        def answer(image: Any, numeric: Any, categorical: Any, network: Any = network, of: str = precision) -> Any:
            with torch.autocast(device.type, PRECISIONS[of], enabled=of != "fp32"):
                return torch.softmax(network(image, numeric, categorical).float(), dim=1)

        for mode in modes:
            made = answer if mode == "eager" else torch.compile(answer, mode=mode, dynamic=False)
            found[f"torch {mode} {precision}"] = made
    return found


@torch.inference_mode()
def measure(
    run: Run, file: Path, device: torch.device, modes: Sequence[str], batches: Sequence[int], rounds: int
) -> list[dict[str, Any]]:
    """Time every contender at every batch size and compare its probabilities with the model file's on the CPU.

    :raises DermedgeError: the file is not of the run's weights.
    """
    model = Classifier(file, "cpu")
    run.require_made(file, model.spec.weights_sha256)
    rows = []
    for batch in batches:
        arrays = gpu_check.inputs_of(model.spec, batch)
        expected = model.run(*arrays)["probabilities"]
        pixels, numeric, categorical = (None if each is None else torch.from_numpy(each).to(device) for each in arrays)
        image = None if pixels is None else pixels.permute(0, 3, 1, 2).float().div(255)
        given = image, numeric, categorical
        timed = contenders(run, device, modes)
        answers = {name: answer(*given).cpu().numpy() for name, answer in timed.items()}
        seconds = _in_turn({name: partial(of, *given) for name, of in timed.items()}, device, rounds)
        for name, taken in seconds.items():
            rows.append(
                {
                    "contender": name,
                    "batch": batch,
                    "median_ms": round(1000 * statistics.median(taken), 3),
                    "largest_difference": float(np.abs(answers[name] - expected).max()),
                }
            )
    return rows


def _in_turn(actions: dict[str, Callable[[], Any]], device: torch.device, rounds: int) -> dict[str, list[float]]:
    """Time actions in turn, the device's work included."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(rounds + 3):
        for name, action in actions.items():
            wait()
            started = time.perf_counter()
            action()
            wait()
            if turn >= 3:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the JSON, print a line a contender."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--device", default="cuda", help="of torch; default: %(default)s")
    parser.add_argument(
        "--modes", default="eager,max-autotune", help="eager, or of torch.compile; default: %(default)s"
    )
    parser.add_argument("--batches", default="1,8,32", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=50, help="timed turns; default: %(default)s")
    parser.add_argument("--out", type=Path, default=Path("torch-on-gpu.json"), help="default: %(default)s")
    options = parser.parse_args(arguments)
    device = torch.device(options.device)
    batches = [int(each) for each in options.batches.split(",")]
    rows = measure(Run.open(options.run), options.model, device, options.modes.split(","), batches, options.rounds)
    hardware = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    record = {"machine": machine_record(), "hardware": hardware, "torch": torch.__version__, "results": rows}
    write_json(options.out, record)
    for row in rows:
        print(
            f"{row['contender']}, batch {row['batch']}: {row['median_ms']} ms, within {row['largest_difference']:.1e}"
        )
    print(f"written to {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
