"""FP16: the layers that float16 cannot hold stay in float32, by their measured ranges.

Judged by ONNX's own evaluator, which rounds after every node as a GPU does; ONNX Runtime's CPU provider does not.
"""

import copy
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from export_networks import change_weights, random_classifier, random_inputs, torch_probabilities_of
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from dermedge.data.ham10000 import HAM10000
from dermedge_export.fp16.to_float16 import LARGEST_HALF, compute_trunk_in_half, rounding_loss, store_matrices_in_half
from dermedge_export.fp16.value_ranges import HalfRanges, measure_half_ranges
from dermedge_export.graph.to_onnx import to_onnx

SIZE = 32
INPUTS = random_inputs(4, size=SIZE)


@cache
def _exported() -> tuple[onnx.ModelProto, np.ndarray]:
    model = random_classifier("cross_attention", narrow=False)
    with torch.no_grad():
        model.head.classifier[-1].weight.mul_(100)  # as it is, the image hardly moves the probabilities
    proto = to_onnx(model, HAM10000.clinical("grouped"), SIZE, explain=False)
    return proto, torch_probabilities_of(model, INPUTS).numpy()


def _case(factor: float) -> tuple[onnx.ModelProto, np.ndarray, HalfRanges]:
    """A graph with the activations of one block scaled and scaled back, what torch says of it, and the judgement."""
    exported, expected = _exported()
    proto = copy.deepcopy(exported)
    change_weights(proto, "stages.4.conv1.weight", lambda w: w * factor)
    change_weights(proto, "stages.4.conv1.bias", lambda w: w * factor)
    change_weights(proto, "stages.4.conv2.weight", lambda w: w / factor)
    return proto, expected, measure_half_ranges(proto, [{name: value.numpy() for name, value in INPUTS.items()}])


def _evaluate(proto: onnx.ModelProto) -> np.ndarray:
    onnx.checker.check_model(proto, full_check=True)
    feed = {value.name: INPUTS[value.name].numpy() for value in proto.graph.input}
    with np.errstate(over="ignore", invalid="ignore"):
        return ReferenceEvaluator(proto).run(["probabilities"], feed)[0]


@pytest.mark.parametrize(
    ("factor", "reasons"),
    [
        (1e6, ("an activation reaches", "the weights lose")),
        (1e8, ("the weights reach", "the weights lose")),
        (1e-6, ("the weights lose", "an input loses")),
        (1e-9, ("the weights lose", "the weights reach")),
    ],
    ids=["activations overflow", "weights overflow", "activations underflow", "weights underflow"],
)
def test_layers_beyond_float16_stay_in_float32(factor: float, reasons: tuple[str, str]) -> None:
    proto, expected, ranges = _case(factor)
    assert list(ranges.kept) == ["stages.4.conv1", "stages.4.conv2"]
    for reason, start in zip(ranges.kept.values(), reasons, strict=True):
        assert reason.startswith(start)
    everything = copy.deepcopy(proto)
    compute_trunk_in_half(everything)
    compute_trunk_in_half(proto, keep=ranges.kept)
    found = _evaluate(proto)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)
    spoilt = np.abs(_evaluate(everything) - expected).max()
    assert not spoilt < 5 * np.abs(found - expected).max()  # NaN, or clearly away from torch


def test_kept_layers_keep_their_weights_and_get_casts_around_them() -> None:
    proto, _, ranges = _case(1e6)
    compute_trunk_in_half(proto, keep=ranges.kept)
    kinds = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    nodes = {node.name: node for node in proto.graph.node}
    producer = {output: node for node in proto.graph.node for output in node.output}
    for name, node in nodes.items():
        if node.op_type == "Conv":
            kind = TensorProto.FLOAT if name in ranges.kept else TensorProto.FLOAT16
            assert {kinds[tensor] for tensor in node.input[1:]} == {kind}
    assert producer[nodes["stages.4.conv1"].input[0]].attribute[0].i == TensorProto.FLOAT
    assert producer[nodes["stages.5.conv1"].input[0]].attribute[0].i == TensorProto.FLOAT16


def test_an_ordinary_network_is_wholly_in_half() -> None:
    proto, expected, ranges = _case(1)
    assert ranges.kept == {}
    assert len(ranges.largest_activation) == 17
    compute_trunk_in_half(proto)
    assert {t.data_type for t in proto.graph.initializer if len(t.dims) == 4} == {TensorProto.FLOAT16}
    assert sum(node.op_type == "Cast" for node in proto.graph.node if node.name.startswith("cast_")) == 2
    np.testing.assert_allclose(_evaluate(proto), expected, atol=1e-3)


def test_ranges_are_those_of_the_photographs() -> None:
    _, _, ranges = _case(1)
    model = random_classifier("cross_attention", narrow=False)
    scaled = INPUTS["image"].permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = model.trunk(scaled).abs().max().item()
    assert ranges.images == len(scaled)
    assert ranges.largest_activation["stages.7.conv2"] == pytest.approx(expected, rel=1e-3)


def test_a_tensor_near_the_largest_number_leaves_room_for_other_photographs() -> None:
    _, _, ordinary = _case(1)
    between = ordinary.largest_activation["stages.4.conv1"]
    _, _, near = _case(LARGEST_HALF / 2 / between)
    assert near.largest_activation["stages.4.conv1"] < LARGEST_HALF
    assert near.kept["stages.4.conv1"].startswith("an activation reaches")


def test_rounding_loss() -> None:
    assert rounding_loss(np.zeros(3, np.float32)) == 0
    assert rounding_loss(np.array([0.5, 1, 1024], np.float32)) == 0
    assert rounding_loss(np.array([1e-9, -1e-9], np.float32)) == 1
    assert rounding_loss(np.array([1, 7e4], np.float32)) == float("inf")
    assert 1e-4 < rounding_loss(np.linspace(0.1, 1, 1000, dtype=np.float32)) < 5e-4


def test_matrices_that_float16_cannot_hold_are_stored_in_float32() -> None:
    model = random_classifier("cross_attention", narrow=False)
    with torch.no_grad():
        model.head.image[0].weight.mul_(1e7)
        model.head.image[0].bias.mul_(1e7)
        model.head.image[2].weight.div_(1e7)
    proto = to_onnx(model, HAM10000.clinical("grouped"), SIZE, explain=False)
    kept = store_matrices_in_half(proto)
    kinds = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    assert len(kept) == 2
    assert {kinds[name] for name in kept} == {TensorProto.FLOAT}
    np.testing.assert_allclose(_evaluate(proto), torch_probabilities_of(model, INPUTS).numpy(), atol=2e-3)
