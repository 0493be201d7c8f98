"""Corrected biases: the mean of every quantised convolution's output becomes that of FP32, and nothing else changes."""

import numpy as np
import onnx
import pytest
from batch_reader import BatchReader
from depthwise_network import CHANNELS, depthwise_network, pictures
from onnx import helper, numpy_helper

from dermedge_export.graph.graph_parts import run_all
from dermedge_export.int8.calibration import RANGE_METHODS
from dermedge_export.int8.corrected_biases import correct_biases, correct_logits
from dermedge_export.int8.float32_layers import keep_in_float
from dermedge_export.int8.quantize import FLAVOURS, quantize
from dermedge_export.int8.sensitivity import rank_layers

CONVOLUTIONS = 9


def _means(proto: onnx.ModelProto, seed: int) -> dict[str, np.ndarray]:
    """Channel means of every convolution's output, by the convolution's name."""
    outputs = {node.name: node.output[0] for node in proto.graph.node if node.op_type == "Conv"}
    batches = list(run_all(proto, list(outputs.values()), pictures(seed)))
    return {
        name: np.concatenate([batch[output] for batch in batches]).mean(axis=(0, 2, 3))
        for name, output in outputs.items()
    }


def _largest_shift(quantised: onnx.ModelProto, original: onnx.ModelProto, seed: int) -> float:
    exact, found = _means(original, seed), _means(quantised, seed)
    return max(float(np.abs(exact[name] - found[name]).max()) for name in exact)


def _stored(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


@pytest.fixture(params=FLAVOURS)
def quantised(request: pytest.FixtureRequest) -> onnx.ModelProto:
    return quantize(depthwise_network(), BatchReader(pictures(0)), str(request.param), RANGE_METHODS["min-max"])


def test_the_means_of_all_layers_become_those_of_fp32(quantised: onnx.ModelProto) -> None:
    original = depthwise_network()
    before = _largest_shift(quantised, original, 0), _largest_shift(quantised, original, 1)
    assert correct_biases(quantised, original, pictures(0)) == CONVOLUTIONS
    assert _largest_shift(quantised, original, 0) < before[0] / 20  # the pictures it was corrected with
    assert _largest_shift(quantised, original, 1) < before[1] / 3  # others of the same kind


def test_biases_alone_change_and_keep_their_types(quantised: onnx.ModelProto) -> None:
    before = _stored(quantised)
    correct_biases(quantised, depthwise_network(), pictures(0))
    after = _stored(quantised)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed and all(name.partition(".")[2].startswith("bias") for name in changed)
    assert {name: array.dtype for name, array in after.items()} == {name: a.dtype for name, a in before.items()}
    assert before.keys() == after.keys()


def test_a_graph_without_quantised_convolutions_stays_as_it_is() -> None:
    network = depthwise_network()
    assert correct_biases(network, depthwise_network(), pictures(0)) == 0
    assert network == depthwise_network()


def test_a_layer_whose_mean_alone_is_wrong_ranks_as_if_it_were_right() -> None:
    original = depthwise_network()
    quantised = quantize(original, BatchReader(pictures(0)), "rtx", RANGE_METHODS["min-max"])
    before = {error.layer: error.divergence for error in rank_layers(quantised, original, pictures(0))}
    (bias,) = (tensor for tensor in quantised.graph.initializer if tensor.name == "narrow0.bias")
    moved = numpy_helper.to_array(bias) + np.linspace(-1, 1, len(numpy_helper.to_array(bias)), dtype=np.float32)
    bias.CopyFrom(numpy_helper.from_array(moved, bias.name))
    spoilt = keep_in_float(quantised, original, [layer for layer in before if layer != "narrow0"])
    assert _largest_shift(spoilt, original, 0) > 0.5
    after = {error.layer: error.divergence for error in rank_layers(quantised, original, pictures(0))}
    assert after["narrow0"] == pytest.approx(before["narrow0"], rel=0.1, abs=1e-9)


def _with_logits() -> onnx.ModelProto:
    """The network, with a layer between its means and its answer."""
    network = depthwise_network()
    rng = np.random.default_rng(5)
    for name, shape in (("last.matrix", (CHANNELS, CHANNELS)), ("last.offset", (CHANNELS,))):
        network.graph.initializer.append(numpy_helper.from_array(rng.normal(0, 1, shape).astype(np.float32), name))
    answer = network.graph.node.pop()
    layer = helper.make_node("Gemm", ["mean", "last.matrix", "last.offset"], ["logits"], name="head.classifier")
    network.graph.node.extend([layer, helper.make_node("Softmax", ["logits"], [answer.output[0]], name="softmax")])
    return network


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_mean_logits_become_those_of_fp32(flavour: str) -> None:
    original = _with_logits()
    quantised = quantize(original, BatchReader(pictures(0)), flavour, RANGE_METHODS["min-max"])
    correct_biases(quantised, original, pictures(0))

    def off(seed: int) -> float:
        means = []
        for graph in (original, quantised):
            batches = list(run_all(graph, ["logits"], pictures(seed)))
            means.append(np.concatenate([batch["logits"] for batch in batches]).mean(axis=0))
        return float(np.abs(means[0] - means[1]).max())

    before = off(0), off(1)
    assert correct_logits(quantised, original, pictures(0))
    assert off(0) < before[0] / 20
    assert off(1) < before[1]


def test_an_answer_without_a_layer_of_its_own_stays_as_it_is() -> None:
    quantised = quantize(depthwise_network(), BatchReader(pictures(0)), "cpu", RANGE_METHODS["min-max"])
    before = quantised.SerializeToString()
    assert not correct_logits(quantised, depthwise_network(), pictures(0))
    assert quantised.SerializeToString() == before
