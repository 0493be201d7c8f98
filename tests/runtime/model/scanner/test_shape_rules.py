"""What the rules say about an operator's result is what ONNX Runtime gives: how much a file can take hangs on it."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from dermedge_runtime.model.scanner.graph import read_graph
from dermedge_runtime.model.scanner.sizes import _Walk
from dermedge_runtime.model.scanner.tensors import Unsafe

onnxruntime.set_default_logger_severity(4)


def model_of(operator: str, arrays: list[Any], outputs: int = 1, **attributes: Any) -> bytes:
    names = [f"x{place}" if array is not None else "" for place, array in enumerate(arrays)]
    results = [f"y{place}" for place in range(outputs)]
    tensors = [numpy_helper.from_array(a, n) for a, n in zip(arrays, names, strict=True) if a is not None]
    node = helper.make_node(operator, names, results, **attributes)
    values = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in results]
    for value in values:
        value.ClearField("type")
    graph = helper.make_graph([node], "one", [], [], tensors)
    graph.output.extend(values)
    content: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return content.SerializeToString()


def by_rule(content: bytes) -> list[tuple[int, ...]] | None:
    graph = read_graph(content)
    walk = _Walk(graph, 1, {})
    try:
        walk.step(graph.nodes[0])
    except Unsafe:
        return None
    return [walk.shapes[name] for name in graph.nodes[0].outputs]


def by_running(content: bytes) -> list[tuple[int, ...]] | None:
    try:
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        return [value.shape for value in session.run(None, {})]
    except Exception:  # ONNX Runtime's exceptions have no common base of their own
        return None


F = np.float32
I = np.int64  # noqa: E741
X = np.ones((2, 3, 4, 5), F)
PICTURE = np.ones((1, 2, 9, 8), F)
CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("ArgMax", [X], {"axis": 2, "keepdims": 0}),
    ("AveragePool", [PICTURE], {"kernel_shape": [3, 2], "strides": [2, 3], "ceil_mode": 1, "pads": [1, 0, 1, 1]}),
    ("BatchNormalization", [PICTURE, *(np.ones(2, F) for _ in range(4))], {}),
    ("Concat", [X, X, X[:, :1]], {"axis": 1}),
    ("ConstantOfShape", [np.array([3, 0, 2], I)], {}),
    ("Conv", [PICTURE, np.ones((4, 1, 3, 2), F)], {"group": 2, "pads": [1, 0, 2, 1], "dilations": [2, 1]}),
    ("Conv", [PICTURE, np.ones((4, 2, 3, 3), F)], {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
    ("Conv", [PICTURE, np.ones((4, 2, 3, 3), F)], {"auto_pad": "VALID"}),
    ("ConvInteger", [PICTURE.astype(np.uint8), np.ones((4, 2, 3, 3), np.uint8)], {}),
    ("DepthToSpace", [np.ones((1, 8, 2, 3), F)], {"blocksize": 2}),
    ("Expand", [X[:, :1], np.array([7, 1, 3, 1, 5], I)], {}),
    ("Flatten", [X], {"axis": 2}),
    ("Flatten", [X], {"axis": -1}),
    ("Gather", [X, np.zeros((6, 7), I)], {"axis": 2}),
    ("GatherElements", [X, np.zeros((1, 2, 3, 1), I)], {"axis": 2}),
    ("Gemm", [np.ones((3, 2), F), np.ones((4, 3), F)], {"transA": 1, "transB": 1}),
    ("GlobalAveragePool", [PICTURE], {}),
    ("LayerNormalization", [X, np.ones(5, F)], {}),
    ("MatMul", [X, np.ones((3, 5, 6), F)], {}),
    ("MatMul", [X, np.ones(5, F)], {}),
    ("MatMul", [np.ones(4, F), X], {}),
    ("MatMul", [np.ones(4, F), np.ones(4, F)], {}),
    ("MatMulInteger", [np.ones((2, 3), np.uint8), np.ones((3, 4), np.uint8)], {}),
    ("MaxPool", [PICTURE], {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
    ("OneHot", [np.zeros((2, 3), I), np.array(4, I), np.array([0, 1], F)], {"axis": 1}),
    ("PRelu", [X, np.ones((3, 1, 1), F)], {}),
    ("Pad", [X, np.array([1, 0, 0, 2, 3, 0, -1, 4], I)], {}),
    ("Pad", [X, np.array([1, 2], I), None, np.array([-1], I)], {}),
    ("Range", [np.array(0, I), np.array(7, I), np.array(2, I)], {}),
    ("Range", [np.array(5, F), np.array(-1, F), np.array(-0.5, F)], {}),
    ("Range", [np.array(5, I), np.array(1, I), np.array(1, I)], {}),
    ("ReduceMax", [X, np.array([-1, 0], I)], {"keepdims": 0}),
    ("ReduceMean", [X], {}),
    ("ReduceSum", [X], {"noop_with_empty_axes": 1}),
    ("Reshape", [X, np.array([0, -1, 5], I)], {}),
    ("Resize", [PICTURE, None, np.array([1, 1, 2.5, 0.3], F)], {}),
    ("Resize", [PICTURE, None, None, np.array([4, 3], I)], {"axes": [2, 3]}),
    ("Shape", [X], {"start": 1, "end": -1}),
    ("Slice", [X, np.array([3, -1], I), np.array([-99, 0], I), np.array([3, 2], I), np.array([-2, -1], I)], {}),
    ("SpaceToDepth", [np.ones((1, 2, 4, 6), F)], {"blocksize": 2}),
    ("Squeeze", [X[:1, :, :1]], {}),
    ("Squeeze", [X[:1, :, :1], np.array([-2], I)], {}),
    ("Tile", [X, np.array([1, 2, 0, 3], I)], {}),
    ("Transpose", [X], {}),
    ("Unsqueeze", [X, np.array([0, -1, 3], I)], {}),
    ("Where", [np.ones((4, 1), bool), np.ones(5, F), np.ones((3, 1, 1), F)], {}),
]


@pytest.mark.parametrize(("operator", "arrays", "attributes"), CASES)
def test_one_operator(operator: str, arrays: list[Any], attributes: dict[str, Any]) -> None:
    content = model_of(operator, arrays, **attributes)
    found = by_running(content)
    assert found is not None
    assert by_rule(content) == found


@pytest.mark.parametrize(
    ("operator", "arrays", "outputs", "attributes"),
    [
        ("Split", [X, np.array([1, 3], I)], 2, {"axis": -2}),
        ("Split", [X], 3, {"axis": 3, "num_outputs": 3}),
        ("TopK", [X, np.array([2], I)], 2, {"axis": 2}),
        ("DynamicQuantizeLinear", [X], 3, {}),
        ("MaxPool", [PICTURE], 2, {"kernel_shape": [3, 3], "dilations": [2, 1]}),
    ],
)
def test_several_results(operator: str, arrays: list[Any], outputs: int, attributes: dict[str, Any]) -> None:
    content = model_of(operator, arrays, outputs, **attributes)
    assert by_rule(content) == by_running(content) is not None


SMALL = st.integers(-4, 6)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(start=SMALL, end=SMALL, step=SMALL, axis=st.integers(-3, 3))
def test_any_slice(start: int, end: int, step: int, axis: int) -> None:
    content = model_of("Slice", [X, *(np.array([value], I) for value in (start, end, axis, step))])
    assert by_rule(content) == by_running(content)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    size=st.integers(1, 9),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 4),
    dilation=st.integers(1, 3),
    pads=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    ceil=st.integers(0, 1),
    rule=st.sampled_from(["NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]),
    operator=st.sampled_from(["Conv", "MaxPool"]),
)
def test_any_window(
    size: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], ceil: int, rule: str, operator: str
) -> None:
    arrays = [np.ones((1, 1, size), F), np.ones((1, 1, kernel), F)]
    settings_: dict[str, Any] = {"strides": [stride], "dilations": [dilation], "auto_pad": rule}
    assume(dilation == 1 or not rule.startswith("SAME"))  # refused, because ONNX Runtime has two rules for it
    if rule == "NOTSET":
        settings_["pads"] = list(pads)
    if operator == "MaxPool":
        assume(max(pads) < kernel)  # ONNX Runtime refuses others
        content = model_of("MaxPool", arrays[:1], kernel_shape=[kernel], ceil_mode=ceil, **settings_)
    else:
        content = model_of("Conv", arrays, **settings_)
    found = by_running(content)
    room = size + (sum(pads) if rule == "NOTSET" else 0) - dilation * (kernel - 1)
    if room < 1 and not rule.startswith("SAME"):
        assert by_rule(content) is None  # larger than the picture: refused, whatever ONNX Runtime makes of it
    else:
        assert found is None or by_rule(content) == found


@settings(max_examples=120, deadline=None, derandomize=True)
@given(sizes=st.lists(st.integers(-1, 6), max_size=4))
def test_any_reshape(sizes: list[int]) -> None:
    content = model_of("Reshape", [np.ones((2, 3, 2), F), np.array(sizes, I)])
    assert by_rule(content) == by_running(content)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(shapes=st.lists(st.lists(st.sampled_from([0, 1, 2, 3]), max_size=3), min_size=2, max_size=3))
def test_any_broadcast(shapes: list[list[int]]) -> None:
    content = model_of("Sum", [np.ones(shape, F) for shape in shapes])
    assert by_rule(content) == by_running(content)
