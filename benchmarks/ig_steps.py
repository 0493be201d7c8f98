"""How many steps do the integrated gradients need? Error against 2,000 steps, on trained weights, and what they cost.

    python benchmarks/ig_steps.py --run runs/concat [--run runs/cross_attention] [--images 300] [--rounds 60]

Pictures and patients of the validation split, image features held fixed. The oracle is captum: 2,000 steps by its
`riemann_middle`; the paper's own rule, 50 steps by its `riemann_right`, is the yardstick. The error of a picture is the
largest difference of an attribution, as a share of the largest attribution. The cost is that of FP32 files that differ
in the steps alone, in turn, on one thread of the CPU provider: CPU time beyond the file of one step, so that it holds
beside other work too.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from captum.attr import IntegratedGradients
from cpu_turns import cpu_turns, medians_ms
from explain_cost import one_patient
from torch import Tensor

from dermedge.data.batches.lesion_data import LesionData
from dermedge.models.classifier import FusedClassifier
from dermedge.training.predictions import trained_model
from dermedge.training.run import Run
from dermedge_export.description import describe, write_described
from dermedge_export.graph.explain_graph import ExplainedHead
from dermedge_export.pipeline import build_graph
from dermedge_runtime import Classifier

STEPS = (4, 8, 12, 16, 20, 24, 32, 50, 100)
REFERENCE = 2000
_BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, action="append", required=True)
    parser.add_argument("--data", type=Path, help="data folder; by default the run's own")
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=60, help="0: no cost")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for path in arguments.run:
        run = Run.open(path)
        model = trained_model(run)
        pooled, clinical = _features(run, model, arguments.data, arguments.images)
        reference = _by_captum(model, pooled, clinical, REFERENCE, "riemann_middle")
        print(f"\n{run.config.fusion}, {run.config.image_branch}, {len(clinical)} validation pictures\n")
        print("| steps | error, median | 95th percentile | largest | same order of fields | added to FP32, CPU ms |")
        print("|---|---|---|---|---|---|")
        added = _added_ms(run, arguments.steps, arguments.rounds) if arguments.rounds else {}
        for steps in arguments.steps:
            found = _ours(model, pooled, clinical, steps)
            print(_row(str(steps), run, found, reference, f"{added[steps]:.3f}" if added else "-"))
        paper = _by_captum(model, pooled, clinical, 50, "riemann_right")
        print(_row("50, at their ends (paper)", run, paper, reference, "as 50"), flush=True)


def _features(run: Run, model: FusedClassifier, data: Path | None, images: int) -> tuple[Tensor | None, Tensor]:
    """Pooled features float32 [N, C] and encoded values float32 [N, F] of validation pictures."""
    config = run.config
    samples = run.split.select(run.samples(data), "validation")
    samples = samples[:: max(1, len(samples) // images)][:images]
    loaded = LesionData.load(samples, run.schema.clinical(config.protocol, config.unknown), config)
    pooled = []
    with torch.no_grad():
        clinical = model.encode(torch.from_numpy(loaded.numeric), torch.from_numpy(loaded.categorical))
        for batch in loaded.batches(np.arange(len(samples)), 32, torch.device("cpu")):
            if batch.image is not None:
                pooled.append(model.see(model.prepare(batch.image)))
    if clinical is None:
        raise SystemExit(f"{config.fusion} reads no clinical values")
    return torch.cat(pooled) if pooled else None, clinical


def _ours(model: FusedClassifier, pooled: Tensor | None, clinical: Tensor, steps: int) -> np.ndarray:
    """Signed attributions of the predicted class, float32 [N, F], as the exported graph computes them."""
    head, found = ExplainedHead(model.head, steps), []
    for start in range(0, len(clinical), _BATCH):
        rows = slice(start, start + _BATCH)
        given = None if pooled is None else pooled[rows].clone().requires_grad_()
        target = torch.full((len(clinical[rows]),), -1, dtype=torch.int32)
        found.append(head(given, clinical[rows], target)[2].detach())
    return torch.cat(found).numpy()


def _by_captum(model: FusedClassifier, pooled: Tensor | None, clinical: Tensor, steps: int, method: str) -> np.ndarray:
    head, found = model.head, []
    for row in range(len(clinical)):
        encoded = clinical[row : row + 1]
        with torch.no_grad():
            given = head.given_image(None if pooled is None else pooled[row : row + 1])

        def scores(values: Tensor, given=given) -> Tensor:
            return head.scores(given(head.clinical(values)[None])[0])

        target = int(scores(encoded).argmax())
        attribution = IntegratedGradients(scores).attribute(
            encoded, baselines=torch.zeros_like(encoded), target=target, n_steps=steps, method=method
        )
        found.append(attribution.detach().float())
    return torch.cat(found).numpy()


def _row(name: str, run: Run, found: np.ndarray, reference: np.ndarray, cost: str) -> str:
    error = np.abs(found - reference).max(axis=1) / np.abs(reference).max(axis=1)
    features = run.schema.clinical(run.config.protocol, run.config.unknown).features
    names = [feature.partition("=")[0] for feature in features]
    same = [_order(one, names) == _order(other, names) for one, other in zip(found, reference, strict=True)]
    figures = f"{np.median(error):.4f} | {np.percentile(error, 95):.4f} | {error.max():.4f} | {np.mean(same):.1%}"
    return f"| {name} | {figures} | {cost} |"


def _order(attribution: np.ndarray, names: list[str]) -> list[str]:
    """The clinical fields by their relevance, the largest first."""
    by_field: dict[str, float] = {}
    for name, value in zip(names, np.abs(attribution), strict=True):
        by_field[name] = by_field.get(name, 0.0) + float(value)
    return sorted(by_field, key=lambda name: by_field[name], reverse=True)


def _added_ms(run: Run, steps: list[int], rounds: int) -> dict[int, float]:
    """CPU time that a prediction takes beyond one of a file with a single step, by steps."""
    arrays = one_patient(run)
    with tempfile.TemporaryDirectory() as folder:
        actions = {}
        for each in (1, *steps):
            path = Path(folder) / f"{each}.onnx"
            spec = describe(run, "fp32", ig_steps=each)
            write_described(build_graph(run, spec, []), spec, path)
            actions[str(each)] = partial(Classifier(path, "cpu", threads=1).run, *arrays)
        spent = medians_ms(cpu_turns(actions, rounds).cpu)
    return {each: spent[str(each)] - spent["1"] for each in steps}


if __name__ == "__main__":
    main()
