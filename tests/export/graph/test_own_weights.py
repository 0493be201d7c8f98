"""A square weight that is read both ways gets its own copy, in whatever form a graph reads it, and costs no room."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from needs_openvino import run_openvino
from onnx import NodeProto, TensorProto, helper, numpy_helper

from dermedge_export.fp16.to_float16 import store_matrices_in_half
from dermedge_export.graph.own_weights import own_weights

N = helper.make_node
SIZE = 24


def _turn(source: str, target: str) -> NodeProto:
    return N("Transpose", [source], [target], perm=[1, 0], name=target)


FORWARDS = {
    "MatMul": [N("MatMul", ["x", "w"], ["y"], name="forwards")],
    "Gemm": [N("Gemm", ["x", "w", "b"], ["y"], name="forwards")],
    "of a transposed one": [_turn("w", "wt"), N("Gemm", ["x", "wt", "b"], ["y"], name="forwards")],
    "Gemm transB": [N("Gemm", ["x", "w", "b"], ["y"], transB=1, name="forwards")],
}
BACKWARDS = {
    "plain": [N("MatMul", ["y", "w"], ["z"], name="backwards")],
    "transposed": [_turn("w", "t"), N("MatMul", ["y", "t"], ["z"], name="backwards")],
    "transposed twice": [_turn("w", "t"), _turn("t", "u"), N("MatMul", ["y", "u"], ["z"], name="backwards")],
    "default permutation": [N("Transpose", ["w"], ["t"]), N("MatMul", ["y", "t"], ["z"], name="backwards")],
    "Gemm transB": [N("Gemm", ["y", "w"], ["z"], transB=1, name="backwards")],
    "Gemm of a transposed one, transB": [
        _turn("w", "t"),
        N("Gemm", ["y", "t"], ["z"], transB=1, name="backwards"),
    ],
}


def _graph(nodes: Sequence[NodeProto], size: tuple[int, int] = (SIZE, SIZE)) -> onnx.ModelProto:
    generator = np.random.default_rng(0)
    arrays = {"w": generator.standard_normal(size) / SIZE**0.5, "b": generator.standard_normal(size[1])}
    given = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()]
    used = {name for node in nodes for name in node.input}
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
        for name, width in (("x", size[0]), ("y", size[1]), ("z", size[0]))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [tensor for tensor in given if tensor.name in used])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _x(columns: int = SIZE) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(1).standard_normal((3, columns)).astype(np.float32)}


def _run(proto: onnx.ModelProto, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(("y", "z"), session.run(["y", "z"], feed), strict=True))


def _assert_equal(found: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    for name, values in right.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4 * np.abs(values).max(), err_msg=name)


@pytest.mark.parametrize("half", [False, True], ids=["float32", "stored in half"])
@pytest.mark.parametrize("backwards", BACKWARDS)
@pytest.mark.parametrize("forwards", FORWARDS)
def test_every_form_is_right_in_onnxruntime_and_openvino(forwards: str, backwards: str, half: bool) -> None:
    proto = _graph([*FORWARDS[forwards], *BACKWARDS[backwards]])
    if half:
        store_matrices_in_half(proto)  # the same rounding on both sides
        right = _run(proto, _x())
        proto = _graph([*FORWARDS[forwards], *BACKWARDS[backwards]])
    else:
        right = _run(proto, _x())
    own_weights(proto)
    if half:
        store_matrices_in_half(proto)
    onnx.checker.check_model(proto, full_check=True)
    _assert_equal(_run(proto, _x()), right)
    _assert_equal(run_openvino(proto.SerializeToString(), _x()), right)


def test_openvino_needs_it() -> None:
    proto = _graph([*FORWARDS["Gemm"], *BACKWARDS["transposed"]])
    right, found = _run(proto, _x()), run_openvino(proto.SerializeToString(), _x())
    if np.abs(found["z"] - right["z"]).max() < 1e-3:
        pytest.skip("this OpenVINO reads a shared square weight right")
    np.testing.assert_allclose(found["y"], right["y"], atol=1e-4)


@pytest.mark.parametrize(
    ("forwards", "backwards"), [("MatMul", "plain"), ("Gemm transB", "Gemm transB"), ("MatMul", "transposed twice")]
)
def test_a_weight_that_is_read_one_way_is_left_alone(forwards: str, backwards: str) -> None:
    proto = _graph([*FORWARDS[forwards], *BACKWARDS[backwards]])
    before = proto.SerializeToString()
    assert own_weights(proto) == []
    assert proto.SerializeToString() == before


def test_a_weight_that_is_not_square_is_left_alone_and_right() -> None:
    proto = _graph([*FORWARDS["Gemm"], *BACKWARDS["transposed"]], (SIZE, 16))
    assert own_weights(proto) == []
    _assert_equal(run_openvino(proto.SerializeToString(), _x()), _run(proto, _x()))


def test_a_square_part_of_a_weight() -> None:
    bounds = {"start": [0], "end": [SIZE], "axis": [1]}
    cut = N("Slice", ["long", "start", "end", "axis"], ["w"], name="cut")
    proto = _graph([cut, *FORWARDS["MatMul"], *BACKWARDS["transposed"]])
    del proto.graph.initializer[:]
    long = np.random.default_rng(0).standard_normal((SIZE, 40)).astype(np.float32)
    arrays = {"long": long, **{name: np.array(value, np.int64) for name, value in bounds.items()}}
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    right = _run(proto, _x())
    assert own_weights(proto) == ["w"]
    onnx.checker.check_model(proto, full_check=True)
    _assert_equal(_run(proto, _x()), right)
    _assert_equal(run_openvino(proto.SerializeToString(), _x()), right)


def test_what_depends_on_the_inputs_is_left_alone() -> None:
    nodes = [N("MatMul", ["x", "x"], ["y"]), N("Transpose", ["x"], ["t"]), N("MatMul", ["y", "t"], ["z"])]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIZE, SIZE]) for name in "xz"]
    proto = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:]))
    assert own_weights(proto) == []


def test_a_file_whose_matrices_are_packed_already() -> None:
    proto = _graph([*FORWARDS["Gemm"], *BACKWARDS["transposed"]])
    store_matrices_in_half(proto)
    right = _run(proto, _x())
    assert own_weights(proto) == ["w"]
    onnx.checker.check_model(proto, full_check=True)
    _assert_equal(_run(proto, _x()), right)
    _assert_equal(run_openvino(proto.SerializeToString(), _x()), right)


def test_several_readers_share_one_copy_that_costs_no_room() -> None:
    again = N("MatMul", ["z0", "t"], ["z"], name="again")
    first = N("MatMul", ["y", "t"], ["z0"], name="backwards")
    proto = _graph([*FORWARDS["MatMul"], _turn("w", "t"), first, again])
    right, size = _run(proto, _x()), proto.ByteSize()
    assert own_weights(proto) == ["w"]
    assert proto.ByteSize() < size + 400
    assert [node.op_type for node in proto.graph.node].count("Transpose") == 1
    _assert_equal(_run(proto, _x()), right)
    assert own_weights(proto) == []  # a second time there is nothing left to do


def test_onnxruntime_stores_the_copy_when_it_opens_the_file(tmp_path) -> None:
    proto = _graph([*FORWARDS["MatMul"], *BACKWARDS["transposed"]])
    own_weights(proto)
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    optimised = onnx.load(options.optimized_model_filepath)
    assert [node.op_type for node in optimised.graph.node] == ["MatMul", "MatMul"]
