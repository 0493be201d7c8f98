"""How far a quantised graph is from FP32 on the same photographs: a Markdown row for each graph."""

from __future__ import annotations

import dermedge_runtime  # noqa: F401, first: it turns ONNX Runtime's telemetry off

# isort: split

from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from dermedge.data.schema import DataSchema
from dermedge.progress import progress
from dermedge.statistics.metrics import balanced_accuracy
from dermedge.statistics.operating_point import recall_at_specificity

Batches = list[dict[str, Any]]
_SMALLEST = 1e-9


class Int8Table:
    """Print a row for every graph, as it is made."""

    def __init__(self, labels: NDArray[np.int64], schema: DataSchema, batches: Batches) -> None:
        self._labels, self._batches = labels, batches
        self._melanoma = None if schema.melanoma is None else list(schema.classes).index(schema.melanoma)
        heads = ("graph", "balanced accuracy", "accuracy", "melanoma recall", "at 90 % specificity")
        heads += ("class agreement", "KL, nats", "mean change", "largest change")
        print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")

    def reference(self, name: str, graph: onnx.ModelProto) -> NDArray[np.float64]:
        """Run an FP32 graph, print its row, and give its probabilities, float64 [N, classes]."""
        found = probabilities(graph, self._batches)
        print(f"| {name} | {self._figures(found)} | | | | |", flush=True)
        return found

    def add(
        self, name: str, graph: onnx.ModelProto, reference: NDArray[np.float64], *, as_written: bool = True
    ) -> None:
        """Run a quantised graph and print how it differs from the FP32 graph it was made of.

        :param as_written: let ONNX Runtime merge the rounding into its INT8 kernels, as it does with a file; otherwise
            every node is computed as it stands.
        """
        found = probabilities(graph, self._batches, optimised=as_written)
        change = np.abs(found - reference)
        ratio = np.maximum(reference, _SMALLEST) / np.maximum(found, _SMALLEST)
        print(
            f"| {name} | {self._figures(found)} | {np.mean(found.argmax(1) == reference.argmax(1)):.2%}"
            f" | {(reference * np.log(ratio)).sum(1).mean():.6f} | {change.mean():.5f} | {change.max():.3f} |",
            flush=True,
        )

    def _figures(self, found: NDArray[np.float64]) -> str:
        labels, predicted = self._labels, found.argmax(1)
        own = labels == self._melanoma
        recall = at_90 = "-"
        if self._melanoma is not None and own.any():
            recall = f"{np.mean(predicted[own] == self._melanoma):.4f}"
            at_90 = f"{recall_at_specificity(own, found[:, self._melanoma]):.4f}"
        right = np.mean(predicted == labels)
        return f"{balanced_accuracy(labels, predicted):.4f} | {right:.4f} | {recall} | {at_90}"


def probabilities(graph: onnx.ModelProto, batches: Batches, *, optimised: bool = True) -> NDArray[np.float64]:
    """Run a graph on the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    feeds = ({name: batch[name] for name in names} for batch in progress(batches, "run"))
    rows = [session.run(["probabilities"], feed)[0] for feed in feeds]
    found: NDArray[np.float64] = np.concatenate(rows).astype(np.float64)
    return found
