"""Matrices of the head in an INT8 file: eight bits in the file, float32 in memory.

They are a third of the file of a small network, and nothing is gained by computing with them in eight bits. A matrix is
stored with one step for every row, or for every column, whichever takes less of it; Cast and Div make floats of it, and
ONNX Runtime folds both when the session opens. It is Div by the steps in one, not Mul by a step: OpenVINO takes a Mul
for the sign to round the activations to eight bits as well, and then its heat maps were off by 0.2. Not covered: very
large matrices, which are read so slowly that the product itself is in eight bits (`large_products.int8_matrices`).
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

LARGEST_LOSS = 0.01
"""Share of a matrix's norm that eight bits may take; a matrix that would lose more is stored in float16."""
_SMALLEST = 4096
"""Numbers in a matrix from which on it is worth two more nodes."""
_STEPS = 127
_SMALLEST_SCALE = 1e-30


def store_matrices_in_bytes(proto: onnx.ModelProto) -> int:
    """Replace float32 matrices among the initializers by int8 ones, a Cast and a Div, in place.

    :return: how many were replaced.
    """
    graph, made = proto.graph, []
    kept: list[TensorProto] = []
    for tensor in graph.initializer:
        found = _in_bytes(numpy_helper.to_array(tensor)) if _is_matrix(tensor) else None
        if found is None:
            kept.append(tensor)
            continue
        name, (whole, density) = tensor.name, found
        kept += [numpy_helper.from_array(whole, f"{name}_bytes"), numpy_helper.from_array(density, f"{name}_density")]
        floats = f"{name}_whole"
        made += [
            helper.make_node("Cast", [f"{name}_bytes"], [floats], name=f"cast_{name}_bytes", to=TensorProto.FLOAT),
            helper.make_node("Div", [floats, f"{name}_density"], [name], name=f"scale_{name}_bytes"),
        ]
    nodes = [*made, *graph.node]
    for field, values in ((graph.initializer, list(kept)), (graph.node, nodes)):
        copies = [type(value)() for value in values]
        for copy, value in zip(copies, values, strict=True):
            copy.CopyFrom(value)
        del field[:]
        field.extend(copies)
    return len(made) // 2


def _is_matrix(tensor: TensorProto) -> bool:
    dims = tensor.dims
    return tensor.data_type == TensorProto.FLOAT and len(dims) == 2 and dims[0] * dims[1] >= _SMALLEST


def _in_bytes(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
    """Give int8 [m, n] and how many steps are in one, float32 [m, 1] or [1, n]; None where both lose too much."""
    if not np.isfinite(values).all():
        return None
    norm = float(np.linalg.norm(values))
    best: tuple[float, NDArray[np.int8], NDArray[np.float32]] | None = None
    for axis in (0, 1):
        density = _STEPS / np.maximum(np.abs(values).max(axis=axis, keepdims=True), _SMALLEST_SCALE)
        whole = np.rint(values * density).astype(np.int8)
        loss = float(np.linalg.norm(whole / density - values))
        if best is None or loss < best[0]:
            best = loss, whole, density.astype(np.float32)
    assert best is not None
    return best[1:] if best[0] <= LARGEST_LOSS * norm else None
