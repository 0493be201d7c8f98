"""The range of an activation whose INT8 values are nearest to its own: the least mean squared error, tensor by tensor.

A range that takes in every value wastes its steps where a few are far from all others; one that cuts off a fixed share
of them cuts too much where nearly all are zero, as behind a rectifier of channels that hardly ever fire. So the error
itself is measured: on a sample of every tensor's values on training photographs, for ranges from the whole one down to
a quarter, then for each end alone.

Not covered: channels of one tensor whose sizes differ. They share one range, because an activation has one step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from dermedge_export.graph.graph_parts import run_all

_SAMPLE = 8192
"""Values of a tensor that count, of every batch of photographs."""
_SHARES = np.geomspace(1, 0.25, 24).tolist()
_SHARES_OF_ONE_END = np.linspace(1.6, 0.6, 21).tolist()
_LEVELS = 255
_LARGEST = 127
_Range = tuple[float, float]


def fitted_ranges(
    proto: onnx.ModelProto, names: Sequence[str], batches: Iterable[Mapping[str, Any]], *, symmetric: bool
) -> dict[str, _Range]:
    """Give the smallest and largest value of every float32 tensor that INT8 should hold.

    :param proto: FP32 graph.
    :param names: its tensors; those of another type are left out, and so is one with a value that is no number.
    :param batches: graph inputs of training photographs.
    :param symmetric: for int8 around zero; otherwise for uint8 with a zero point.
    """
    samples: dict[str, list[NDArray[np.float32]]] = {}
    for number, values in enumerate(run_all(proto, names, batches)):
        for name, value in values.items():
            if value.dtype == np.float32:
                samples.setdefault(name, []).append(_sample(value.reshape(-1), seed=number))
    joined = {name: np.concatenate(parts).astype(np.float64) for name, parts in samples.items()}
    finite = {name: values for name, values in joined.items() if values.size and np.isfinite(values).all()}
    return {name: fitted_range(values, symmetric=symmetric) for name, values in finite.items()}


def _sample(values: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    if values.size <= _SAMPLE:
        return values
    chosen: NDArray[np.float32] = values[np.random.default_rng(seed).integers(0, values.size, _SAMPLE)]
    return chosen


def fitted_range(values: NDArray[np.float64], *, symmetric: bool) -> _Range:
    """Give the range of least squared error for values float64 [N]; zero is always in it."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)

    def error(ends: _Range) -> float:
        return float(((_rounded(values, ends, symmetric=symmetric) - values) ** 2).mean())

    best = min(((share * low, share * high) for share in _SHARES), key=error)
    if not symmetric and low < 0 < high:
        start = best
        best = min([best, *((max(share * start[0], low), start[1]) for share in _SHARES_OF_ONE_END)], key=error)
        best = min([best, *((best[0], min(share * start[1], high)) for share in _SHARES_OF_ONE_END)], key=error)
    return best


def _rounded(values: NDArray[np.float64], ends: _Range, *, symmetric: bool) -> NDArray[np.float64]:
    """Give what INT8 makes of values within a range."""
    if symmetric:
        step = max(-ends[0], ends[1]) / _LARGEST or 1.0
        return np.clip(np.rint(values / step), -_LARGEST, _LARGEST) * step
    step = (ends[1] - ends[0]) / _LEVELS or 1.0
    zero = np.rint(-ends[0] / step)
    shifted: NDArray[np.float64] = (np.clip(np.rint(values / step) + zero, 0, _LEVELS) - zero) * step
    return shifted
