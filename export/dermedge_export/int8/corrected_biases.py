"""Take the mean error of every quantised convolution out of its bias (Nagel et al. 2019, arXiv:1906.04721, empirical).

Rounding weights moves the mean of an output channel, because activations behind a rectifier are not centred, and layer
by layer these shifts add up. So the channel means of the INT8 graph are compared with those of FP32 on training
photographs, from the first convolution to the last, each after the ones before it were corrected.

What a rectifier makes of an error without a mean has one: it cuts off below. So the mean logits are compared too, and
the last bias takes up their difference, class by class. It is small, and all on one side: melanomas lost by it.

Not covered: other matrix products, and errors that differ from place to place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from dermedge.progress import progress
from dermedge_export.graph.graph_parts import Arrays, part, readable, run_all, run_from

from .float32_layers import quantised_layers

_ANSWER = "probabilities"
BIAS_IMAGES = 64
"""Photographs; the values of a layer are kept for all of them at once."""


def correct_biases(quantised: onnx.ModelProto, original: onnx.ModelProto, batches: Sequence[Mapping[str, Any]]) -> int:
    """Change the biases of the quantised convolutions, in place; int32 ones in their own steps.

    :param quantised: QDQ graph whose convolutions have the names they have in `original`.
    :param original: the FP32 graph that it was made from.
    :param batches: graph inputs of real training photographs.
    :return: how many convolutions were corrected.
    """
    before = {node.name: node for node in original.graph.node}
    layers = set(quantised_layers(quantised))
    nodes = [
        node
        for node in quantised.graph.node
        if node.op_type == "Conv" and node.name in layers and node.name in before and len(node.input) == 3
    ]
    if not nodes:
        return 0
    exact = _channel_means(original, [before[node.name].output[0] for node in nodes], batches)
    stored = {tensor.name: tensor for tensor in quantised.graph.initializer}
    producer = {output: node for node in quantised.graph.node for output in node.output}
    known: list[Arrays] = [dict(batch) for batch in batches]
    inputs = set(known[0])
    for node in progress(nodes, "correct biases", shown=len(nodes) > 1):
        values = run_from(quantised, known, node.output[0])
        error = exact[before[node.name].output[0]] - _mean(values)
        dequantised = producer.get(node.input[2])
        names = [node.input[2]] if dequantised is None else list(dequantised.input[:2])
        moved = _add(stored, names, error).reshape(-1, *[1] * (values[0].ndim - 2))
        for batch, value in zip(known, values, strict=True):
            batch[node.output[0]] = value + moved
        still = readable(quantised, known[0]) | inputs
        known = [{name: value for name, value in batch.items() if name in still} for batch in known]
    return len(nodes)


def correct_logits(quantised: onnx.ModelProto, original: onnx.ModelProto, batches: Sequence[Mapping[str, Any]]) -> bool:
    """Change the bias of the layer that gives the logits, in place, so that their means are those of FP32.

    :param quantised: QDQ graph of `original`, its other biases corrected.
    :param batches: graph inputs of real training photographs.
    :return: False where no float32 bias is added to the logits; the graph stays as it is.
    """
    stored = {tensor.name: tensor for tensor in quantised.graph.initializer}
    products = [node for node in part(quantised, batches[0], [_ANSWER]).graph.node if node.op_type == "Gemm"]
    if not products or len(products[-1].input) < 3 or products[-1].input[2] not in stored:
        return False
    logits, bias = products[-1].output[0], products[-1].input[2]
    if not any(logits in node.output for node in original.graph.node):
        return False
    exact, found = (_channel_means(graph, [logits], batches)[logits] for graph in (original, quantised))
    _add(stored, [bias], exact - found)
    return True


def _add(stored: Mapping[str, TensorProto], names: Sequence[str], error: NDArray[np.float64]) -> NDArray[np.float32]:
    """Add to a bias, a float32 one or int32 with its steps; give what was really added."""
    bias = numpy_helper.to_array(stored[names[0]])
    if len(names) == 1:
        changed, added = (bias + error).astype(np.float32), error
    else:
        step = numpy_helper.to_array(stored[names[1]]).astype(np.float64)
        limits = np.iinfo(np.int32)
        changed = np.clip(bias + np.rint(error / step), limits.min, limits.max).astype(np.int32)
        added = (changed.astype(np.float64) - bias) * step
    stored[names[0]].CopyFrom(numpy_helper.from_array(changed, names[0]))
    return added.astype(np.float32)


def _channel_means(
    proto: onnx.ModelProto, names: Sequence[str], batches: Iterable[Mapping[str, Any]]
) -> dict[str, NDArray[np.float64]]:
    sums: dict[str, NDArray[np.float64]] = {}
    count = 0
    for values in run_all(proto, names, batches):
        count += len(next(iter(values.values())))
        for name, value in values.items():
            sums[name] = sums.get(name, 0) + len(value) * _mean([value])
    return {name: total / count for name, total in sums.items()}


def _mean(values: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
    """Mean of every channel (axis 1) over batches of one size of picture."""
    weights = [len(value) for value in values]
    means = [value.mean(axis=(0, *range(2, value.ndim)), dtype=np.float64) for value in values]
    averaged: NDArray[np.float64] = np.average(means, axis=0, weights=weights)
    return averaged
