"""Equalised ranges: the same function in float32, ranges of the channels nearer to each other, borders left alone."""

import numpy as np
import onnx
from depthwise_network import depthwise_network, pictures
from onnx import numpy_helper

from dermedge_export.graph.layers import FEATURE_MAP
from dermedge_export.int8.equalised_ranges import equalise
from dermedge_export.int8.graph_parts import run_all


def _values(proto: onnx.ModelProto, names: list[str], seed: int) -> dict[str, np.ndarray]:
    batches = list(run_all(proto, names, pictures(seed)))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in names}


def _spread(values: np.ndarray) -> float:
    ranges = np.abs(values).max(axis=(0, 2, 3))
    return float(ranges.max() / ranges.min())


def _with_rectifier(kind: str) -> onnx.ModelProto:
    """The network with another rectifier in the place of ReLU6, the last one apart."""
    network = depthwise_network()
    for node in network.graph.node:
        if node.op_type == "Clip" and node.output[0] != FEATURE_MAP:
            node.op_type = kind
            del node.input[1:]
    return network


def test_residual_channels_are_equalised_and_the_function_stays() -> None:
    original, equalised = depthwise_network(), depthwise_network()
    assert equalise(equalised, pictures(0)) == 1  # t0, t1 and t2 are tied together by the sums
    before = _values(original, ["t0", "t2", FEATURE_MAP, "probabilities"], 1)
    after = _values(equalised, ["t0", "t2", FEATURE_MAP, "probabilities"], 1)
    assert _spread(after["t2"]) < 0.8 * _spread(before["t2"])
    # One factor per channel, the same for both tensors.
    factors = [(after[name] / before[name]).reshape(-1, before[name].shape[1], 144) for name in ("t0", "t2")]
    np.testing.assert_allclose(np.median(factors[0], axis=(0, 2)), np.median(factors[1], axis=(0, 2)), rtol=1e-4)
    for name in (FEATURE_MAP, "probabilities"):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-4, atol=1e-3)  # of a map that reaches 6


def test_what_relu6_bounds_is_not_scaled() -> None:
    original, equalised = depthwise_network(), depthwise_network()
    equalise(equalised, pictures(0))
    weights = [{t.name: numpy_helper.to_array(t) for t in p.graph.initializer} for p in (original, equalised)]
    changed = {name for name in weights[0] if not np.array_equal(weights[0][name], weights[1][name])}
    written = {f"{layer}.{part}" for layer in ("first", "narrow0", "narrow1") for part in ("weight", "bias")}
    assert changed == written | {"wide0.weight", "wide1.weight", "last.weight"}


def test_factors_pass_through_relu_and_leaky_relu_and_depthwise_kernels() -> None:
    for kind in ("Relu", "LeakyRelu"):
        original, equalised = _with_rectifier(kind), _with_rectifier(kind)
        assert equalise(equalised, pictures(0)) == 6
        names = ["w0", "d1", FEATURE_MAP]
        before, after = _values(original, names, 1), _values(equalised, names, 1)
        assert not np.allclose(before["w0"], after["w0"], rtol=1e-2)
        np.testing.assert_allclose(after[FEATURE_MAP], before[FEATURE_MAP], rtol=1e-3, atol=1e-3)


def test_weights_that_two_convolutions_share_are_left_alone() -> None:
    network = depthwise_network()
    next(node for node in network.graph.node if node.name == "wide1").input[1] = "wide0.weight"
    before = onnx.ModelProto()
    before.CopyFrom(network)
    assert equalise(network, pictures(0)) == 0
    assert network == before
