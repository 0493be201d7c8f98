"""Matrices in eight bits: small in the file, the same product, and floats again once the session is open."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from dermedge_export.int8.byte_matrices import store_matrices_in_bytes


def _product(matrix: np.ndarray) -> onnx.ModelProto:
    """Give the graph of x @ matrix and its transposition's, as forward pass and gradient read one matrix."""
    rows, columns = matrix.shape
    nodes = [
        helper.make_node("MatMul", ["x", "matrix"], ["y"], name="forward"),
        helper.make_node("Transpose", ["matrix"], ["turned"], name="turn", perm=[1, 0]),
        helper.make_node("MatMul", ["y", "turned"], ["back"], name="backward"),
    ]
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", rows])]
    wanted = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", columns]),
        helper.make_tensor_value_info("back", TensorProto.FLOAT, ["batch", rows]),
    ]
    graph = helper.make_graph(nodes, "product", given, wanted, [numpy_helper.from_array(matrix, "matrix")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _run(proto: onnx.ModelProto, x: np.ndarray, folded: Path | None = None) -> list[np.ndarray]:
    options = ort.SessionOptions()
    if folded is not None:
        options.optimized_model_filepath = str(folded)
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})


@pytest.mark.parametrize("axis", [0, 1], ids=["rows differ", "columns differ"])
def test_a_matrix_is_stored_in_a_quarter_and_multiplies_as_before(axis: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    spread = np.exp(draw.normal(size=(96, 1) if axis == 0 else (1, 160)) * 2)
    matrix = (draw.normal(size=(96, 160)) * spread).astype(np.float32)
    proto, x = _product(matrix), draw.normal(size=(5, 96)).astype(np.float32)
    expected, before = _run(proto, x), len(proto.SerializeToString())
    assert store_matrices_in_bytes(proto) == 1
    onnx.checker.check_model(proto)
    assert len(proto.SerializeToString()) < 0.3 * before
    folded = tmp_path / "folded.onnx"
    for one, other in zip(expected, _run(proto, x, folded), strict=True):
        assert 0 < np.linalg.norm(one - other) < 0.02 * np.linalg.norm(one)
    operators = {node.op_type for node in onnx.load(folded).graph.node}
    assert not operators & {"Cast", "Div", "DequantizeLinear"}, "folded when the session opens"


@pytest.mark.parametrize("value", [0.3, np.inf], ids=["loses too much", "not finite"])
def test_a_matrix_that_eight_bits_do_not_hold_stays(value: float) -> None:
    # Beside the one large number of its row and of its column everything else is rounded away or to a half.
    matrix = np.where(np.eye(128, dtype=bool), np.float32(100), np.float32(value))
    proto = _product(matrix.astype(np.float32))
    before = proto.SerializeToString()
    assert store_matrices_in_bytes(proto) == 0
    assert proto.SerializeToString() == before


def test_a_small_matrix_stays() -> None:
    assert store_matrices_in_bytes(_product(np.ones((16, 16), np.float32))) == 0


def test_nothing_but_matrices_is_touched() -> None:
    proto = _product(np.zeros((64, 64), np.float32))
    proto.graph.initializer.append(numpy_helper.from_array(np.zeros(5000, np.float32), "vector"))
    assert store_matrices_in_bytes(proto) == 1
    kept = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    assert kept["vector"] == TensorProto.FLOAT and kept["matrix_bytes"] == TensorProto.INT8
    assert not _run(proto, np.ones((1, 64), np.float32))[0].any()
