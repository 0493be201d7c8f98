"""INT8 with layers in float32: exactly those that INT8 spoils are found, and keeping them mends the graph."""

import copy
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from export_networks import change_weights, open_session, random_classifier, random_inputs
from onnxruntime import InferenceSession
from quarter_branch import CHANNELS
from torch import nn

from dermedge.data.ham10000 import HAM10000
from dermedge.models.branches import dermiresnet
from dermedge_export.graph.to_onnx import to_onnx
from dermedge_export.int8.float32_layers import keep_in_float, quantised_layers
from dermedge_export.int8.quantize import quantize
from dermedge_export.int8.sensitivity import rank_layers

SIZE = 32
HEAD = 30
BATCHES = [{name: value.numpy() for name, value in random_inputs(8, seed=s, size=SIZE).items()} for s in (1, 2)]


class Reader:
    """The batches, as ONNX Runtime's calibrator asks for them."""

    def __len__(self) -> int:
        return len(BATCHES)

    def set_range(self, start_index: int, end_index: int) -> None:
        self.pending = iter(BATCHES[start_index:end_index])

    def get_next(self) -> dict | None:
        return next(self.pending, None)


@cache
def _exported() -> onnx.ModelProto:
    with pytest.MonkeyPatch.context() as patch:  # every layer is quantised alone
        patch.setattr(dermiresnet, "STAGE_CHANNELS", CHANNELS)
        model = random_classifier("cross_attention")
    # Weights large enough that a signal survives all layers; with those of an untrained network it does not.
    for module in model.trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    with torch.no_grad():
        model.head.classifier[-1].weight.mul_(HEAD)
    return to_onnx(model, HAM10000.clinical("grouped"), SIZE, explain=False)


def _quantised(original: onnx.ModelProto) -> onnx.ModelProto:
    return quantize(original, Reader())


@pytest.fixture(scope="module")
def ordinary() -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The exported graph, which INT8 does not spoil, and its INT8 graph."""
    return _exported(), _quantised(_exported())


def _session(proto: onnx.ModelProto) -> InferenceSession:
    onnx.checker.check_model(proto, full_check=True)
    return open_session(proto)


def _change(original: onnx.ModelProto, proto: onnx.ModelProto) -> float:
    """Largest change of a probability."""
    sessions = _session(original), _session(proto)
    return max(
        float(np.abs(np.subtract(*(session.run(["probabilities"], batch)[0] for session in sessions))).max())
        for batch in BATCHES
    )


def _blow_up_unread_weights(proto: onnx.ModelProto) -> None:
    """Silence a channel and enlarge the weights that read it: nothing in float32, but they take INT8's whole range."""
    change_weights(proto, "stages.2.conv1.weight", lambda w: w * (np.arange(len(w)) > 0)[:, None, None, None])
    change_weights(proto, "stages.2.conv1.bias", lambda b: b * (np.arange(len(b)) > 0))
    change_weights(proto, "stages.2.conv2.weight", lambda w: np.where(np.arange(w.shape[1])[:, None, None] > 0, w, 50))


def _blow_up_one_activation(proto: onnx.ModelProto) -> None:
    """Enlarge one channel between two convolutions and undo it after: it takes the range of all other channels."""
    change_weights(proto, "stages.4.conv1.weight", lambda w: w * _first_times(len(w), 1e4)[:, None, None, None])
    change_weights(proto, "stages.4.conv1.bias", lambda b: b * _first_times(len(b), 1e4))
    change_weights(proto, "stages.4.conv2.weight", lambda w: w / _first_times(w.shape[1], 1e4)[:, None, None])


def _first_times(count: int, factor: float) -> np.ndarray:
    return np.where(np.arange(count) > 0, 1, factor)


@pytest.mark.parametrize(
    ("spoil", "spoilt"),
    [
        (_blow_up_unread_weights, {"stages.2.conv2"}),
        pytest.param(_blow_up_one_activation, {"stages.4.conv1", "stages.4.conv2"}, marks=pytest.mark.exhaustive),
    ],
)
def test_the_spoilt_layers_rank_first_and_keeping_them_mends_the_graph(spoil, spoilt: set[str]) -> None:
    original = copy.deepcopy(_exported())
    spoil(original)
    quantised = _quantised(original)
    ranked = rank_layers(quantised, original, BATCHES)
    assert {error.layer for error in ranked[: len(spoilt)]} == spoilt
    assert ranked[len(spoilt) - 1].divergence > 10 * ranked[len(spoilt)].divergence
    whole, mended = _change(original, quantised), _change(original, keep_in_float(quantised, original, spoilt))
    assert mended < whole / 5
    if len(spoilt) > 1:  # the range between two layers stays spoilt until both are kept
        assert all(_change(original, keep_in_float(quantised, original, {one})) > 2 * mended for one in spoilt)


def test_every_layer_kept_is_the_float_graph(ordinary) -> None:
    original, quantised = ordinary
    kept = keep_in_float(quantised, original, quantised_layers(quantised))
    assert {"QuantizeLinear", "DequantizeLinear"}.isdisjoint(node.op_type for node in kept.graph.node)
    assert _change(original, kept) < 0.02  # the head's matrices are stored in float16
    assert _change(original, kept) < _change(original, quantised) / 2


def test_no_layer_kept_is_the_quantised_graph(ordinary) -> None:
    original, quantised = ordinary
    same = keep_in_float(quantised, original, [])
    assert [node.SerializeToString() for node in same.graph.node] == [
        node.SerializeToString() for node in quantised.graph.node
    ]
    assert _change(quantised, same) == 0


def test_a_kept_layer_has_its_float_weights_and_the_others_stay_int8(ordinary) -> None:
    original, quantised = ordinary
    layers = quantised_layers(quantised)
    assert len(layers) == 17
    kept = keep_in_float(quantised, original, ["stages.3.conv1"])
    assert quantised_layers(kept) == [layer for layer in layers if layer != "stages.3.conv1"]
    kinds = {tensor.name: tensor.data_type for tensor in kept.graph.initializer}
    assert kinds["model.trunk.stages.3.conv1.weight_float"] == onnx.TensorProto.FLOAT
    assert len(kept.SerializeToString()) < len(quantised.SerializeToString()) + 4 * CHANNELS[1] ** 2 * 9


def test_layers_in_the_ranking_are_complete_and_sorted(ordinary) -> None:
    original, quantised = ordinary
    ranked = rank_layers(quantised, original, BATCHES)
    assert {error.layer for error in ranked} == set(quantised_layers(quantised))
    divergences = [error.divergence for error in ranked]
    assert divergences == sorted(divergences, reverse=True)
    assert all(0 <= error.changed_classes <= 1 and error.divergence >= 0 for error in ranked)
