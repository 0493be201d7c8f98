"""Round the INT8 weights of a convolution together: what one weight loses, those that are rounded after it make up for,
as far as their inputs move alike on training photographs (GPTQ, Frantar et al. 2022, arXiv:2210.17323, without its
blocks).

The rounding of `safe_weights` sees weights alone. This one minimises the variance of an output channel's error, given
how the inputs vary together; the mean of the error is left to `corrected_biases`. Weights keep their steps and their
seven bits.

Not covered: kernels of more than `LARGEST_KERNEL` weights, whose many rounding errors average out and whose fit would
take minutes; matrix products.

Not part of a conversion: beside corrected biases it brought nothing certain on EfficientNet-Lite0
(benchmarks/int8_passes.py measures it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, numpy_helper
from torch import Tensor
from torch.nn import functional

from dermedge.progress import progress

from .float32_layers import quantised_layers
from .graph_parts import attribute, run_all
from .safe_weights import LARGEST_WEIGHT

LARGEST_KERNEL = 2304
_LARGEST_SUM = 2**24
"""Bytes of covariances gathered in one pass over the photographs, divided by 8: 128 MiB."""
_PLACES = 512
"""About so many places of a picture count, evenly spread; of a map with fewer than twice as many, all."""
_DAMPING = 0.01
"""Share of the mean variance that is added to every input's: weights never make up for more than is certain."""


def fit_weights(quantised: onnx.ModelProto, original: onnx.ModelProto, batches: Sequence[Mapping[str, Any]]) -> int:
    """Round the constant INT8 weights of the convolutions of a QDQ graph anew, in place.

    :param quantised: its convolutions have the names they have in `original`.
    :param original: the float32 graph that it was made from.
    :param batches: graph inputs of real training photographs.
    :return: how many convolutions were fitted.
    """
    floats = {tensor.name: numpy_helper.to_array(tensor) for tensor in original.graph.initializer}
    stored = {tensor.name: tensor for tensor in quantised.graph.initializer}
    producer = {output: node for node in quantised.graph.node for output in node.output}
    layers = set(quantised_layers(quantised))
    convolutions = {node.name: node for node in quantised.graph.node if node.op_type == "Conv"}
    found = [
        node
        for node in original.graph.node
        if node.op_type == "Conv"
        and node.name in layers
        and node.name in convolutions
        and floats[node.input[1]].ndim == 4
        and floats[node.input[1]][0].size <= LARGEST_KERNEL
    ]
    for nodes in _in_passes(found, floats):
        for node, covariance in _covariances(original, nodes, floats, batches).items():
            dequantised = producer[convolutions[node].input[1]]
            _store(stored, dequantised, floats[_weight(original, node)], covariance)
    return len(found)


def _weight(proto: onnx.ModelProto, name: str) -> str:
    return str(next(node.input[1] for node in proto.graph.node if node.name == name))


def _store(
    stored: Mapping[str, TensorProto], dequantised: NodeProto, values: NDArray[np.float32], covariance: Tensor
) -> None:
    step = numpy_helper.to_array(stored[dequantised.input[1]]).astype(np.float64).reshape(-1, 1)
    groups, taps = covariance.shape[:2]
    if not bool(torch.isfinite(covariance).all()):
        return  # weights that are no numbers are told by the comparison
    steps = torch.from_numpy(values.reshape(len(values), -1) / step).reshape(groups, -1, taps)
    rounded = fitted_rounding(steps, covariance).reshape(values.shape).numpy().astype(np.int8)
    stored[dequantised.input[0]].CopyFrom(numpy_helper.from_array(rounded, dequantised.input[0]))


def fitted_rounding(weights: Tensor, covariance: Tensor) -> Tensor:
    """Round weights one input after another, the most variable first, and let those to come make up for the error.

    :param weights: float64 [groups, output channels of a group, inputs] in steps.
    :param covariance: float64 [groups, inputs, inputs] of the inputs.
    :return: whole numbers of the same shape, -64 to 64.
    """
    rows, taps = weights.shape[1:]
    variance = covariance.diagonal(dim1=1, dim2=2)
    tiny = torch.finfo(torch.float64).tiny ** 0.5
    damped = covariance + torch.diag_embed((_DAMPING * variance.mean(1, keepdim=True) + tiny).expand(-1, taps))
    order = variance.argsort(dim=1, descending=True, stable=True)
    damped = damped.gather(1, order[:, :, None].expand(-1, -1, taps)).gather(2, order[:, None, :].expand(-1, taps, -1))
    rest = weights.gather(2, order[:, None, :].expand(-1, rows, -1)).clone()
    # Row j of this factor tells how much of an error of input j each later input has to take over.
    factor = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(damped)), upper=True)
    rounded = torch.empty_like(rest)
    for tap in range(taps):
        rounded[:, :, tap] = rest[:, :, tap].round().clamp(-LARGEST_WEIGHT, LARGEST_WEIGHT)
        error = (rest[:, :, tap] - rounded[:, :, tap]) / factor[:, tap, tap, None]
        rest[:, :, tap + 1 :] -= error[:, :, None] * factor[:, None, tap, tap + 1 :]
    return rounded.gather(2, order.argsort(dim=1)[:, None, :].expand(-1, rows, -1))


def _in_passes(nodes: Sequence[NodeProto], floats: Mapping[str, NDArray[np.float32]]) -> list[list[NodeProto]]:
    """Part the convolutions so that the covariances of each part fit into memory."""
    passes: list[list[NodeProto]] = [[]]
    room = _LARGEST_SUM
    for node in nodes:
        needed = attribute(node, "group", 1) * floats[node.input[1]][0].size ** 2
        if needed > room and passes[-1]:
            passes.append([])
            room = _LARGEST_SUM
        passes[-1].append(node)
        room -= needed
    return [part for part in passes if part]


def _covariances(
    proto: onnx.ModelProto,
    nodes: Sequence[NodeProto],
    floats: Mapping[str, NDArray[np.float32]],
    batches: Sequence[Mapping[str, Any]],
) -> dict[str, Tensor]:
    """Give float64 [groups, inputs, inputs] of every convolution, by its name."""
    names = list(dict.fromkeys(node.input[0] for node in nodes))
    products: dict[str, Tensor] = {}
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    centres: dict[str, Tensor] = {}
    for values in run_all(proto, names, progress(batches, "fit weights")):
        for node in nodes:
            seen = _kernel_inputs(values[node.input[0]], node, floats[node.input[1]].shape[2:])
            # Around a mean of the first batch: where inputs vary little, float32 would lose it beside their size.
            seen -= centres.setdefault(node.name, seen.mean(dim=2, keepdim=True))
            products[node.name] = products.get(node.name, 0) + (seen @ seen.mT).double()
            sums[node.name] = sums.get(node.name, 0) + seen.sum(dim=2).double()
            counts[node.name] = counts.get(node.name, 0) + seen.shape[2]
    found = {}
    for name, product in products.items():
        mean = sums[name] / counts[name]
        found[name] = product / counts[name] - mean[:, :, None] * mean[:, None, :]
    return found


def _kernel_inputs(values: NDArray[np.float32], node: NodeProto, kernel: Sequence[int]) -> Tensor:
    """What the kernels of a convolution are multiplied with: float32 [groups, inputs of a kernel, places]."""
    top, left, bottom, right = attribute(node, "pads", [0, 0, 0, 0])
    groups = attribute(node, "group", 1)
    dilations, strides = attribute(node, "dilations", [1, 1]), attribute(node, "strides", [1, 1])
    parts = []
    for image in torch.from_numpy(values):  # one by one: unfolded, a picture is as many times larger as a kernel
        padded = functional.pad(image, (left, right, top, bottom))
        unfolded = functional.unfold(padded, tuple(kernel), tuple(dilations), 0, tuple(strides))
        step = max(1, unfolded.shape[1] // _PLACES)
        parts.append(unfolded[:, ::step].reshape(groups, unfolded.shape[0] // groups, -1))
    return torch.cat(parts, dim=2)
