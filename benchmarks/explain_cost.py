"""What do the explanations cost? The same weights with and without them, and by captum in torch, in one run.

    python benchmarks/explain_cost.py --run runs/cross_attention [--rounds 60]

Answers: the share that explanations add to a prediction at batch 1 on the CPU provider, FP32 and INT8; where the time
inside the graph goes (ONNX Runtime's profiler, whose own overhead of some microseconds per node is in the phases); and
how many times dearer the same two explanations are by captum.
"""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from captum.attr import IntegratedGradients, LayerGradCam

from dermedge.bench.bench import take_turns
from dermedge.data.ham10000 import read_samples
from dermedge.training.predictions import trained_model
from dermedge.training.run import Run
from dermedge_export.description import describe, write_described
from dermedge_export.graph.ig_steps import DEFAULT_STEPS
from dermedge_export.int8.calibration import CALIBRATION_IMAGES, choose
from dermedge_export.pipeline import build_graph
from dermedge_runtime import Classifier
from dermedge_runtime.devices.usable_cpus import usable_cpus

_PROFILED = 40
_POOLING = ("ReduceMean", "GlobalAveragePool", "QLinearGlobalAveragePool")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(usable_cpus())
    run = Run.open(arguments.run)
    arrays = one_patient(run)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        actions, phases = {}, {}
        for precision in ("fp32", "int8"):
            for explain in (False, True):
                path = folder / f"{precision}-{'explained' if explain else 'plain'}.onnx"
                _export(run, precision, explain, path)
                actions[path.stem] = partial(Classifier(path, "cpu").run, *arrays)
        onnx_ms = _medians_ms(take_turns(actions, arguments.rounds))
        for path in sorted(folder.glob("*.onnx")):
            phases[path.stem] = phases_ms(path, arrays, folder)
    captum_ms = _medians_ms(take_turns({"captum": _captum(run, *arrays)}, 3, 1))["captum"]
    added = {p: onnx_ms[f"{p}-explained"] - onnx_ms[f"{p}-plain"] for p in ("fp32", "int8")}
    result = {
        "image_size": run.config.image_size,
        "fusion": run.config.fusion,
        "threads": usable_cpus(),
        "median_ms": {**onnx_ms, "captum, both explanations": captum_ms},
        "added_share": {p: round(added[p] / onnx_ms[f"{p}-plain"], 4) for p in added},
        "captum_over_fp32_explained": round(captum_ms / onnx_ms["fp32-explained"], 1),
        "phases_ms": phases,
    }
    print(json.dumps(result, indent=2))


def one_patient(run: Run) -> tuple[np.ndarray | None, np.ndarray, np.ndarray]:
    """One noisy picture and one patient; the network's time does not depend on them."""
    spec = describe(run, "fp32")
    pixels = None
    if spec.image is not None:
        pixels = np.random.default_rng(0).integers(0, 256, (1, spec.image.size, spec.image.size, 3), dtype=np.uint8)
    return (
        pixels,
        *spec.clinical.encode([{"age": 55, "sex": "male", "site": "back"}] if spec.clinical.names else [{}]),
    )


def _medians_ms(turns: dict[str, list[float]]) -> dict[str, float]:
    return {name: round(1000 * statistics.median(seconds), 3) for name, seconds in turns.items()}


def _export(run: Run, precision: str, explain: bool, path: Path) -> None:
    split = run.split
    spec = describe(run, precision, explain=explain)
    training = split.select(read_samples(Path(run.config.data)), "train")
    graph = build_graph(run, spec, choose(training, CALIBRATION_IMAGES, 0))
    write_described(graph, spec, path)


def phases_ms(path: Path, arrays: tuple[np.ndarray | None, np.ndarray, np.ndarray], folder: Path) -> dict[str, float]:
    """Split the nodes' time by what the outputs need: image branch, prediction, heat map, clinical relevance."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = usable_cpus(), 3
    options.enable_profiling, options.profile_file_prefix = True, str(folder / path.stem)
    # The graph as ONNX Runtime really runs it: only there do the profiled names exist.
    options.optimized_model_filepath = str(folder / f"{path.stem}.optimized")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feed = dict(zip(("image", "numeric", "categorical"), arrays, strict=True))
    feed["target"] = np.array([-1], np.int32)
    wanted = {value.name for value in session.get_inputs()}
    feed = {name: value for name, value in feed.items() if name in wanted}
    for _ in range(2 * _PROFILED):
        session.run(None, feed)
    events = json.loads(Path(session.end_profiling()).read_text())
    spent = [e for e in events if e.get("cat") == "Node" and e["name"].endswith("_kernel_time")]
    spent = spent[len(spent) // 2 :]
    phase_of = _phase_by_node(onnx.load(options.optimized_model_filepath, load_external_data=False).graph)
    totals: dict[str, float] = {}
    for event in spent:
        phase = phase_of.get(event["name"].removesuffix("_kernel_time"), "other")
        totals[phase] = totals.get(phase, 0.0) + event["dur"] / 1000 / _PROFILED
    return {name: round(total, 3) for name, total in sorted(totals.items())}


def _phase_by_node(graph: onnx.GraphProto) -> dict[str, str]:
    """Give every node the first output that needs it; what the probabilities need up to the pooling is the branch."""
    producer = {output: node for node in graph.node for output in node.output}
    nodes = list(graph.node)
    first = next((index for index, node in enumerate(nodes) if "Conv" in node.op_type), 0)
    pooling = [node for node in nodes[first:] if node.op_type in _POOLING][:1]  # colour constancy has means too
    phases: dict[str, str] = {}
    starts = [("image branch", list(pooling[0].output) if _has_convolution(graph) else [])]
    starts += [(f"for {value.name}", [value.name]) for value in graph.output]
    for phase, pending in starts:
        while pending:
            node = producer.get(pending.pop())
            if node is not None and node.name not in phases:
                phases[node.name] = phase
                pending.extend(node.input)
    return phases


def _has_convolution(graph: onnx.GraphProto) -> bool:
    return any("Conv" in node.op_type for node in graph.node)


def _captum(run: Run, pixels: np.ndarray | None, numeric: np.ndarray, categorical: np.ndarray) -> Callable[[], None]:
    """The same explanations of the same weights, those that the fusion has, by captum."""
    model = trained_model(run)
    image = None if pixels is None else torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
    clinical = model.encode(torch.from_numpy(numeric), torch.from_numpy(categorical))

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, image: torch.Tensor | None, clinical: torch.Tensor | None) -> torch.Tensor:
            return self.model.head(None if image is None else self.model.see(self.model.prepare(image)), clinical)

    network = Network()

    def explain() -> None:
        target = network(image, clinical).argmax(1)
        if image is not None:
            LayerGradCam(network, model.trunk).attribute(
                image, target=target, additional_forward_args=(clinical,), relu_attributions=True
            )
        if clinical is not None:
            IntegratedGradients(
                lambda e: network(None if image is None else image.expand(len(e), -1, -1, -1), e)
            ).attribute(
                clinical,
                baselines=torch.zeros_like(clinical),
                target=target,
                n_steps=DEFAULT_STEPS,
                method="riemann_middle",
            )

    return explain


if __name__ == "__main__":
    main()
