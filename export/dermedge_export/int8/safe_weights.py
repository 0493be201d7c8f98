"""INT8 weights that no CPU's sums overflow: seven bits, rounded so that the errors of a channel cancel.

An x86 CPU without VNNI multiplies uint8 activations with int8 weights in pairs and adds each pair in 16 bits, where
255 * 127 * 2 is cut off at 32,767: the same file then gives another answer, without a word. With weights from -64 to 64
no pair can get there (255 * 64 * 2 = 32,640), whatever order a kernel pairs them in.

The lost bit is won back by the rounding. Activations behind a rectifier have a mean above zero, so what moves an output
is the sum of the rounding errors, not their size: where the errors of a kernel, or of an output channel, add up to half
a step or more, the weights nearest to a tie are rounded the other way (the idea of SQuant, Guo et al., ICLR 2022,
arXiv:2202.07471, without its calibration-free search over bit widths).

Not covered: activations, and matrices that are quantised to one step (`int8_matrices`, which uses `LARGEST_WEIGHT`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from dermedge_runtime.model.description import SAFE_WEIGHT_BITS

LARGEST_WEIGHT = 2 ** (SAFE_WEIGHT_BITS - 1)
"""Largest absolute value of an INT8 weight: two of them times 255 fit into 16 bits."""


def rebalance(quantised: onnx.ModelProto, original: onnx.ModelProto) -> None:
    """Round the constant INT8 weights of a QDQ graph anew, in place; their steps stay.

    :param quantised: with weights named `NAME_quantized` and steps `NAME_scale`, as ONNX Runtime's quantiser does.
    :param original: the float32 graph that it was made from, with `NAME` among its initializers.
    """
    stored = {tensor.name: tensor for tensor in quantised.graph.initializer}
    floats = {tensor.name: tensor for tensor in original.graph.initializer}
    for node in quantised.graph.node:
        name = node.input[0].removesuffix("_quantized") if node.op_type == "DequantizeLinear" else ""
        if name not in floats or stored[node.input[0]].data_type != onnx.TensorProto.INT8:
            continue
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        values = numpy_helper.to_array(floats[name]).astype(np.float64)
        step = numpy_helper.to_array(stored[node.input[1]]).astype(np.float64)
        axis = axis if step.ndim else 0
        channels_first = np.moveaxis(values, axis, 0)
        steps = channels_first / step.reshape(-1, *[1] * (values.ndim - 1))
        rounded = np.moveaxis(balanced_rounding(steps), 0, axis)
        stored[node.input[0]].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(rounded), node.input[0]))


def balanced_rounding(weights: NDArray[np.float64]) -> NDArray[np.int8]:
    """Round so that the errors of every kernel, then those of every output channel, add up to at most half a step.

    :param weights: float64 [output channels, ...] in steps, the kernel of one input channel in the axes from 2 on;
        what is beyond `LARGEST_WEIGHT` is cut off.
    :return: int8 of the same shape, -64 to 64.
    """
    exact = np.clip(weights, -LARGEST_WEIGHT, LARGEST_WEIGHT)
    channels = len(exact)
    if exact.ndim > 2:
        kernels = exact.reshape(channels, exact.shape[1], -1)
        rounded = _turned(np.rint(kernels), kernels)
    else:
        rounded = np.rint(exact)
    flat = exact.reshape(channels, -1)
    return _turned(rounded.reshape(channels, -1), flat).reshape(weights.shape).astype(np.int8)


def _turned(rounded: NDArray[np.float64], exact: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round those nearest to a tie the other way, as many per row (last axis) as its errors add up to whole steps."""
    errors = rounded - exact
    excess = errors.sum(axis=-1, keepdims=True)
    direction = np.sign(excess)
    turned: NDArray[Any] = rounded - direction
    # A weight that would move by more than a step, or out of the range, stays as it is.
    movable = (errors * direction > 0) & (np.abs(turned) <= LARGEST_WEIGHT)
    order = np.argsort(np.where(movable, -errors * direction, np.inf), axis=-1, kind="stable")
    rank = np.argsort(order, axis=-1, kind="stable")
    return np.where(movable & (rank < np.rint(np.abs(excess))), turned, rounded)
