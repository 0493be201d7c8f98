"""A small file that would take much memory is refused before ONNX Runtime sees it, whatever operator makes it large."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graph_shapes import shapes_by_rule, shapes_by_running
from make_tiny_model import TINY, build
from onnx import NodeProto, TensorProto, helper, numpy_helper

from dermedge_runtime import Classifier, ModelFileError, model_in_the_box
from dermedge_runtime.model.scanner.scan import check_memory, scan

MEMORY = "would take more memory than its size explains"
N = 40_000


def refusal(model: onnx.ModelProto) -> str:
    with pytest.raises(ModelFileError) as caught:
        check_memory(scan(model.SerializeToString(), "x.onnx"), "x.onnx", {})
    assert caught.value.exit_code == 4
    return str(caught.value)


def node(operator: str, inputs: Sequence[str], output: str = "large", **attributes: Any) -> NodeProto:
    return helper.make_node(operator, inputs, [output], **attributes)


def extended(nodes: Sequence[NodeProto], **constants: Any) -> onnx.ModelProto:
    """Give the tiny model with more nodes before its own, and more constants."""
    model = build()
    own = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *own])
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())
    return model


ONE = np.ones((1, 1), np.float32)
LONG = np.array([N, N], np.int64)
BOMBS: dict[str, tuple[list[NodeProto], dict[str, Any]]] = {
    "ConstantOfShape": ([node("ConstantOfShape", ["n"])], {"n": LONG}),
    "Expand": ([node("Expand", ["x", "n"])], {"x": ONE, "n": LONG}),
    "Expand of the batch": ([node("Expand", ["numeric", "n"])], {"n": np.array([1, N * N], np.int64)}),
    "Tile": ([node("Tile", ["x", "n"])], {"x": ONE, "n": LONG}),
    "Tile of the picture": ([node("Tile", ["image", "n"])], {"n": np.array([1, 1, 1, N], np.int64)}),
    "Pad": ([node("Pad", ["x", "n"])], {"x": ONE, "n": np.array([0, 0, N, N])}),
    "Resize": ([node("Resize", ["x", "", "n"])], {"x": ONE, "n": np.array([N, N], np.float32)}),
    "Resize to sizes": ([node("Resize", ["x", "", "", "n"])], {"x": ONE, "n": LONG}),
    "Range": ([node("Range", ["a", "n", "b"])], {"a": np.int64(0), "n": np.int64(N * N), "b": np.int64(1)}),
    "OneHot": ([node("OneHot", ["x", "n", "v"])], {"x": [[0]], "n": np.int64(N * N), "v": np.float32([0, 1])}),
    "MatMul": (
        [node("ConstantOfShape", ["n"], "a"), node("Transpose", ["a"], "b"), node("MatMul", ["a", "b"])],
        {"n": np.array([N, 1])},
    ),
    "Gemm": ([node("ConstantOfShape", ["n"], "a"), node("Gemm", ["a", "a"], transB=1)], {"n": np.array([N, 1])}),
    "broadcast": (
        [node("ConstantOfShape", ["n"], "a"), node("Transpose", ["a"], "b"), node("Add", ["a", "b"])],
        {"n": np.array([N, 1])},
    ),
    "Where": (
        [
            node("ConstantOfShape", ["n"], "a"),
            node("Transpose", ["a"], "b"),
            node("Equal", ["a", "a"], "c"),
            node("Where", ["c", "b", "a"]),
        ],
        {"n": np.array([N, 1])},
    ),
    "Gather": (
        [node("ConstantOfShape", ["n"], "a", value=numpy_helper.from_array(np.int64([0]))), node("Gather", ["w", "a"])],
        {"n": np.array([2_000_000]), "w": np.ones((1, 1000), np.float32)},
    ),
    "Concat": (
        [node("Identity", ["x"], "c0"), *(node("Concat", [f"c{i}"] * 8, f"c{i + 1}", axis=0) for i in range(12))],
        {"x": ONE},
    ),
    "many of moderate size": (
        [node("ConstantOfShape", ["n"], "a0"), *(node("Neg", [f"a{i}"], f"a{i + 1}") for i in range(60))],
        {"n": np.array([6_000_000])},
    ),
    "Conv": (
        [node("ConstantOfShape", ["n"], "a"), node("Conv", ["a", "a"], pads=[1000] * 4)],
        {"n": np.array([1, 1, 1001, 1001])},
    ),
    "Conv with padding": (
        [node("Conv", ["x", "w"], pads=[N] * 4)],
        {"x": np.ones((1, 1, 1, 1), np.float32), "w": np.ones((1, 1, 1, 1), np.float32)},
    ),
    "MaxPool": (
        [node("MaxPool", ["x"], kernel_shape=[N, N], pads=[N - 1] * 4)],
        {"x": np.ones((1, 1, 1, 1), np.float32)},
    ),
    "Split and Concat": (
        [
            helper.make_node("Split", ["x"], ["s", "t"], axis=0, num_outputs=2),
            node("Expand", ["s", "n"]),
        ],
        {"x": np.ones((2, 1), np.float32), "n": LONG},
    ),
    "a shape that is computed": (
        [node("Shape", ["x"], "s"), node("Mul", ["s", "n"], "t"), node("ConstantOfShape", ["t"])],
        {"x": ONE, "n": LONG},
    ),
    "a shape in a Constant": ([node("Constant", [], "n", value_ints=[N, N]), node("ConstantOfShape", ["n"])], {}),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_makes_much_of_little(name: str) -> None:
    nodes, constants = BOMBS[name]
    model = extended(nodes, **constants)
    assert model.ByteSize() < 20_000
    assert refusal(model).startswith(f"x.onnx {MEMORY}: operator ")


def test_the_message_names_operator_and_limits(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(extended(*BOMBS["Tile"][:1], **BOMBS["Tile"][1]).SerializeToString())
    with pytest.raises(ModelFileError) as caught:
        Classifier(path, "cpu")
    assert str(caught.value) == (
        "x.onnx would take more memory than its size explains: operator Tile for 'large' 6,400 MB, all so far 6,400 MB"
        " for one picture; the limits are 34 and 138 MB."
    )


@pytest.mark.parametrize(
    "operator",
    [
        *("NonZero", "RandomNormal", "RandomUniformLike", "EyeLike", "Compress", "SequenceMap", "ImageDecoder"),
        *("GridSample", "Einsum", "LSTM", "StringConcat", "Bernoulli", "MaxUnpool", "Upsample", "Nonsense", ""),
    ],
)
def test_operators_without_a_rule(operator: str) -> None:
    expected = f"x.onnx uses the operator {operator or 'without a name'}, which dermedge does not run."
    assert refusal(extended([node(operator, ["numeric"])])) == expected


@pytest.mark.parametrize(
    ("nodes", "constants", "message"),
    [
        ([node("Cast", ["numeric"], "s", to=7), node("ConstantOfShape", ["s"])], {}, "not known before it runs"),
        ([node("Cast", ["numeric"], "s", to=7), node("Expand", ["numeric", "s"])], {}, "not known before it runs"),
        ([node("Reshape", ["numeric", "n"])], {"n": np.array([7])}, "do not fit together"),
        ([node("Reshape", ["numeric", "n"])], {"n": np.array([1, 1])}, "cannot run on a batch of 1024"),
        ([node("Add", ["categorical", "n"])], {"n": np.ones(3)}, "do not fit together"),
        ([node("Relu", ["later"]), node("Neg", ["numeric"], "later")], {}, "reads 'later', which nothing before"),
        ([node("Tile", ["numeric", "n"])], {"n": np.array([1, -1])}, "a size is negative"),
        ([node("Conv", ["image", "n"])], {"n": np.ones((1, 1, 1, 1))}, "do not fit together"),
        ([node("Slice", ["numeric", "n", "n"])], {"n": np.float32([1])}, "holds no integers"),
        ([node("Transpose", ["numeric"], perm=[0, 0])], {}, "no order of the axes"),
        ([node("Concat", ["numeric", "categorical"], axis=5)], {}, "there is no axis 5"),
        ([node("Constant", [], value_string="text")], {}, "holds no numbers"),
        ([node("Relu", [])], {}, "input 1 is missing"),
        ([helper.make_node("Relu", ["numeric"], ["a", "b"])], {}, "no more than 1 results"),
    ],
)
def test_what_cannot_run(nodes: list[NodeProto], constants: dict[str, Any], message: str) -> None:
    assert message in refusal(extended(nodes, **constants))


def test_names_in_a_message_do_not_steer_the_terminal() -> None:
    text = refusal(extended([node("\x1b[2J\nNo" + "o" * 1000, ["numeric"])]))
    assert text.isprintable() and text.startswith("x.onnx uses the operator ?[2J Nooo") and len(text) < 400


def test_a_tensor_that_grows_faster_than_the_batch() -> None:
    nodes = [node("Transpose", ["numeric"], "turned"), node("MatMul", ["numeric", "turned"])]
    assert refusal(extended(nodes)) == "x.onnx holds an operator, MatMul, whose result grows faster than the batch."


@pytest.mark.parametrize("rows", [[1, 3], [-1, 1], [2, 3]])
def test_an_answer_of_another_number_of_rows(rows: list[int]) -> None:
    model = build()
    model.graph.node[-1].output[0] = "inner"
    model.graph.initializer.append(numpy_helper.from_array(np.array(rows, np.int64), "rows"))
    model.graph.node.append(helper.make_node("Reshape", ["inner", "rows"], ["probabilities"]))
    assert "probabilities" in refusal(model)


def test_rows_that_are_joined(tmp_path: Path) -> None:
    model = build()
    model.graph.node[-1].output[0] = "inner"
    model.graph.node.append(helper.make_node("Concat", ["inner", "inner"], ["probabilities"], axis=0))
    assert refusal(model) == "x.onnx gives in 'probabilities' not one row for each picture. Export it again."


@pytest.mark.parametrize("axes", [[], [1, 1], ["batch", "features"], ["batch", -1]])
def test_an_input_without_fixed_sizes(axes: list[Any]) -> None:
    model = build()
    model.graph.input.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, axes))
    assert "input 'more' that is not a batch" in refusal(model)


@pytest.mark.parametrize("path", [TINY, model_in_the_box()], ids=["tiny", "box"])
@pytest.mark.parametrize("rows", [1, 3])
def test_the_shapes_are_those_of_onnx_runtime(path: Path, rows: int) -> None:
    model = onnx.load(path)
    found = shapes_by_running(model, rows)
    assert shapes_by_rule(model, rows, list(found)) == found
    assert found["probabilities"][0] == rows
