"""Model files whose graph computes texture patterns: the same as torch, in every output and precision."""

import copy
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from export_networks import SIZE, RandomReader, open_session, random_inputs, torch_probabilities_of
from quarter_branch import quarter_widths

from dermedge.data.ham10000 import CLASSES, HAM10000
from dermedge.models.classifier import FusedClassifier
from dermedge_export.fp16.to_float16 import compute_trunk_in_half, store_matrices_in_half
from dermedge_export.graph.layers import trunk_layers
from dermedge_export.graph.to_onnx import contract_of, to_onnx
from dermedge_export.int8.quantize import packed, quantize


@cache
def network() -> FusedClassifier:
    """A random network that looks at pictures: its normalisations are those of some, as after a training."""
    torch.manual_seed(0)
    schema = HAM10000.clinical("grouped")
    model = FusedClassifier("concat", schema, len(CLASSES), widths=quarter_widths(), texture_patterns=True).eval()
    with torch.no_grad():
        model.texture.mix.weight.normal_(0, 0.3)
        model.head.classifier[-1].weight.mul_(20)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
                module.train()
        model(scaled(inputs(8)["image"]), *(inputs(8)[name] for name in ("numeric", "categorical")))
    return model.eval()


@cache
def traced() -> bytes:
    content: bytes = to_onnx(network(), HAM10000.clinical("grouped"), SIZE).SerializeToString()
    return content


def run(proto: onnx.ModelProto, batch: int) -> dict[str, np.ndarray]:
    session = open_session(proto)
    feed = {**inputs(batch), "target": torch.full((batch,), -1, dtype=torch.int32)}
    names = [each.name for each in session.get_outputs()]
    found = session.run(names, {each.name: feed[each.name].numpy() for each in session.get_inputs()})
    return dict(zip(names, found, strict=True))


def scaled(image: torch.Tensor) -> torch.Tensor:
    return image.permute(0, 3, 1, 2).float() / 255


def inputs(batch: int) -> dict[str, torch.Tensor]:
    """Random pictures, whose noise is soft enough that all steps of the patterns occur."""
    found = random_inputs(batch, seed=batch)
    found["image"] = (found["image"] // 12 + 110).to(torch.uint8)
    return found


@pytest.mark.parametrize("batch", [1, 3])
def test_every_output_is_that_of_torch(batch: int) -> None:
    found = run(onnx.load_from_string(traced()), batch)
    np.testing.assert_allclose(found["probabilities"], torch_probabilities_of(network(), inputs(batch)), atol=1e-4)
    contract = contract_of(network(), explain=True, traced=False)
    expected = contract(**inputs(batch), target=torch.full((batch,), -1, dtype=torch.int32))
    for name in ("heatmap", "relevance", "attribution"):
        np.testing.assert_allclose(found[name], expected[name].detach(), atol=1e-4, err_msg=name)
    plain = copy.deepcopy(network())
    plain.texture = None
    apart = torch_probabilities_of(plain, inputs(batch)).numpy() - found["probabilities"]
    assert np.abs(apart).max() > 0.05, "and the texture counts"
    assert found["heatmap"].std() > 0.05


def test_the_mixing_is_the_first_layer_and_what_is_before_it_stays_in_float32() -> None:
    proto = onnx.load_from_string(traced())
    onnx.checker.check_model(proto, full_check=True)
    layers = list(trunk_layers(proto))
    assert layers[:2] == ["texture.mix", "conv1"] and len(layers) == 18
    expected = run(proto, 3)["probabilities"]
    whole = quantize(proto, RandomReader(proto), "cpu")
    assert np.abs(run(packed(whole, "cpu"), 3)["probabilities"] - expected).max() < 0.15
    half = onnx.load_from_string(traced())
    compute_trunk_in_half(half)
    store_matrices_in_half(half)
    np.testing.assert_allclose(run(half, 3)["probabilities"], expected, atol=1e-2)
    kinds = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    mixing = next(index for index, node in enumerate(half.graph.node) if node.op_type == "Conv")
    before = half.graph.node[:mixing]
    assert sum(node.op_type in ("Min", "Max") for node in before) > 15
    used = {kinds[name] for node in before for name in node.input if name in kinds and node.op_type in ("Sub", "Mul")}
    assert used == {onnx.TensorProto.FLOAT}
