"""What do the explanations cost? The same weights with and without them, and by captum in torch, in one run.

    python benchmarks/explain_cost.py --run runs/cross_attention [--rounds 60]

Answers: the share that explanations add to a prediction at batch 1 on the CPU provider, FP32 and INT8, and how many
times dearer the same two explanations are by captum.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam

from dermedge.bench import take_turns
from dermedge.data.ham10000 import read_samples
from dermedge.evaluate import trained_model
from dermedge.models.classifier import pool
from dermedge.run_folder import RunFolder
from dermedge_export.calibration import CALIBRATION_IMAGES, choose
from dermedge_export.pipeline import build_graph, describe, write_described
from dermedge_runtime import Classifier
from dermedge_runtime.cpus import usable_cpus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(usable_cpus())
    run = RunFolder(arguments.run)
    rng = np.random.default_rng(0)
    size = run.config().image_size
    pixels = rng.integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    numeric, categorical = np.array([[55]], np.float32), np.array([[1, 2]], np.int32)
    with tempfile.TemporaryDirectory() as folder:
        actions = {}
        for precision in ("fp32", "int8"):
            for explain in (False, True):
                path = Path(folder) / f"{precision}-{'explained' if explain else 'plain'}.onnx"
                _export(run, precision, explain, path)
                actions[path.stem] = partial(Classifier(path, "cpu").run, pixels, numeric, categorical)
        onnx_ms = _medians_ms(take_turns(actions, arguments.rounds))
    captum_ms = _medians_ms(take_turns({"captum": _captum(run, pixels, numeric, categorical)}, 3, 1))["captum"]
    added = {p: onnx_ms[f"{p}-explained"] - onnx_ms[f"{p}-plain"] for p in ("fp32", "int8")}
    result = {
        "image_size": size,
        "threads": usable_cpus(),
        "median_ms": {**onnx_ms, "captum, both explanations": captum_ms},
        "added_share": {p: round(added[p] / onnx_ms[f"{p}-plain"], 4) for p in added},
        "captum_over_fp32_explained": round(captum_ms / onnx_ms["fp32-explained"], 1),
    }
    print(json.dumps(result, indent=2))


def _medians_ms(turns: dict[str, list[float]]) -> dict[str, float]:
    return {name: round(1000 * statistics.median(seconds), 3) for name, seconds in turns.items()}


def _export(run: RunFolder, precision: str, explain: bool, path: Path) -> None:
    split = run.split()
    spec = describe(run, split, precision, explain=explain)
    training = split.select(read_samples(Path(run.config().data)), "train")
    graph = build_graph(run, spec, choose(training, CALIBRATION_IMAGES, 0))
    write_described(graph, spec, path)


def _captum(run: RunFolder, pixels: np.ndarray, numeric: np.ndarray, categorical: np.ndarray) -> partial:
    model = trained_model(run)
    image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    clinical = model.encode(torch.from_numpy(numeric), torch.from_numpy(categorical))

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, image: torch.Tensor, clinical: torch.Tensor) -> torch.Tensor:
            return self.model.head(pool(self.model.trunk(image)), clinical)

    network = Network()
    gradients = IntegratedGradients(lambda e: network(image.expand(len(e), -1, -1, -1), e))
    cam = LayerGradCam(network, model.trunk)

    def explain() -> None:
        target = network(image, clinical).argmax(1)
        cam.attribute(image, target=target, additional_forward_args=(clinical,), relu_attributions=True)
        gradients.attribute(clinical, baselines=torch.zeros_like(clinical), target=target, n_steps=50)

    return partial(explain)


if __name__ == "__main__":
    main()
