"""Tensor and bilinear fusion in a file: folded to half the weights, in eight bits where the file is INT8."""

import numpy as np
import onnx
import pytest
import torch
from export_networks import fusion_cases, open_session, random_classifier, random_inputs
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from dermedge_export.fp16.to_float16 import store_matrices_in_half
from dermedge_export.large_products import int8_matrices
from dermedge_export.large_products.int8_matrices import quantize_large_matrices
from dermedge_export.large_products.merged_product import MergedProduct, merge_product

INPUTS, FEATURES, HIDDEN = 512, 128, 256


@pytest.fixture(scope="module", params=fusion_cases(["tensor", "bilinear"]))
def proto(request: pytest.FixtureRequest, traced) -> onnx.ModelProto:
    return traced(request.param)


def _run(proto: onnx.ModelProto, batch: int) -> dict[str, np.ndarray]:
    session = open_session(proto)
    feed = {name: value.numpy() for name, value in random_inputs(batch, seed=batch).items()}
    feed["target"] = np.arange(batch, dtype=np.int32)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, feed), strict=True))


def test_the_outer_product_is_never_built_and_half_the_weights_go(proto: onnx.ModelProto) -> None:
    large = [tuple(t.dims) for t in proto.graph.initializer if np.prod(t.dims, dtype=int) > 3_000_000]
    assert large == [(INPUTS, FEATURES * HIDDEN)]
    inferred = onnx.shape_inference.infer_shapes(proto).graph.value_info
    shapes = [value.type.tensor_type.shape.dim for value in inferred]
    of_patients = [[d.dim_value for d in shape if d.dim_value] for shape in shapes if any(d.dim_param for d in shape)]
    assert max(np.prod(sizes, dtype=int) for sizes in of_patients) < INPUTS * 256


def test_other_heads_are_not_folded() -> None:
    head = random_classifier("gated").head
    before = list(head.state_dict())
    merge_product(head)
    assert list(head.state_dict()) == before and not isinstance(head.fusion, MergedProduct)


def test_a_clinical_feature_without_weights_does_not_divide_by_zero() -> None:
    coefficients, last = torch.randn(3, 4, 5), nn.Linear(2, 4)
    with torch.no_grad():
        last.weight[:, 1] = 0
        folded = MergedProduct(coefficients, last, torch.ones(3))
        x, y = torch.randn(6, 5), torch.randn(6, 2)
        expected = torch.einsum("hji,bj,bi->bh", coefficients, last(y), x) + 1
        torch.testing.assert_close(folded(x, y), expected, rtol=1e-4, atol=1e-5)


def test_eight_bits_keep_probabilities_and_explanations(proto: onnx.ModelProto) -> None:
    expected, small = _run(proto, 7), onnx.ModelProto.FromString(proto.SerializeToString())
    quantize_large_matrices(small)
    store_matrices_in_half(small)
    onnx.checker.check_model(small, full_check=True)
    assert small.ByteSize() < proto.ByteSize() - 0.7 * 4 * INPUTS * FEATURES * HIDDEN
    stored = [t for t in small.graph.initializer if np.prod(t.dims, dtype=int) > 3_000_000]
    assert [t.data_type for t in stored if len(t.dims) == 2] == [TensorProto.INT8]  # one copy for both products
    found = _run(small, 7)
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=5e-3)
    for name in ("attribution", "heatmap"):
        pairs = zip(found[name].reshape(7, -1), expected[name].reshape(7, -1), strict=True)
        correlations = [np.corrcoef(one, other)[0, 1] for one, other in pairs if one.any() or other.any()]
        assert correlations and min(correlations) > 0.97, name


def _product_and_gradient(matrix: np.ndarray) -> onnx.ModelProto:
    """Graph of a @ W and b @ W^T, as a contraction and its gradient are exported."""
    nodes = [
        helper.make_node("MatMul", ["a", "W"], ["forward"], name="forward_product"),
        helper.make_node("Transpose", ["W"], ["Wt"], name="turn", perm=[1, 0]),
        helper.make_node("MatMul", ["b", "Wt"], ["backward"], name="backward_product"),
    ]
    rows, columns = matrix.shape
    values = {"a": rows, "b": columns, "forward": columns, "backward": rows}
    described = {n: helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", size]) for n, size in values.items()}
    graph = helper.make_graph(
        nodes,
        "products",
        [described["a"], described["b"]],
        [described["forward"], described["backward"]],
        [numpy_helper.from_array(matrix, "W")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(int8_matrices, "_LARGE", 100)
    rng = np.random.default_rng(0)
    matrix = rng.uniform(-1, 1, (40, 24)).astype(np.float32)
    proto = _product_and_gradient(matrix)
    quantize_large_matrices(proto)
    session = open_session(proto)
    return matrix, session, rng


def test_both_products_are_close_to_the_exact_ones(products) -> None:
    matrix, session, rng = products
    a, b = rng.standard_normal((5, 40), dtype=np.float32), rng.standard_normal((5, 24), dtype=np.float32)
    forward, backward = session.run(None, {"a": a, "b": b})
    for found, given, exact in ((forward, a, a @ matrix), (backward, b, b @ matrix.T)):
        # Half a step of the row and half a step of the matrix, times as many terms as a product has.
        bound = given.shape[1] * (0.5 / 127) * np.abs(given).max(axis=1, keepdims=True) * 2.1
        assert (np.abs(found - exact) < bound).all()
        assert np.abs(found - exact).mean() < 0.02 * np.abs(exact).mean()
        assert not np.array_equal(found, exact)


def test_a_row_does_not_depend_on_the_size_of_its_neighbours(products) -> None:
    _, session, rng = products
    a, b = rng.standard_normal((2, 40), dtype=np.float32), rng.standard_normal((2, 24), dtype=np.float32)
    a[1], b[1] = a[1] * 1000, b[1] * 1000
    together = session.run(None, {"a": a, "b": b})
    alone = session.run(None, {"a": a[:1], "b": b[:1]})
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


def test_a_row_of_zeros_gives_zeros(products) -> None:
    _, session, _ = products
    for result in session.run(None, {"a": np.zeros((1, 40), np.float32), "b": np.zeros((1, 24), np.float32)}):
        np.testing.assert_array_equal(result, 0)


def test_graphs_without_large_matrices_stay_as_they_are() -> None:
    proto = _product_and_gradient(np.ones((4, 4), np.float32))
    before = proto.SerializeToString()
    quantize_large_matrices(proto)
    assert proto.SerializeToString() == before
