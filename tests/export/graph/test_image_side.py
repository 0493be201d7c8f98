"""Branches side by side, attention and pooling: the exported graph computes and explains what torch and captum do."""

from functools import cache

import numpy as np
import onnx
import pytest
import torch
from batch_reader import BatchReader
from captum.attr import LayerGradCam
from export_networks import SIZE, open_session, random_inputs
from torch import Tensor, nn

from dermedge.data.ham10000 import HAM10000
from dermedge.models.branches import dermiresnet
from dermedge.models.classifier import FusedClassifier
from dermedge_export.fp16.to_float16 import compute_trunk_in_half
from dermedge_export.fp16.value_ranges import measure_half_ranges
from dermedge_export.graph.explain_graph import ExplainedHead, heatmap
from dermedge_export.graph.layers import trunk_layers
from dermedge_export.graph.to_onnx import to_onnx
from dermedge_export.int8.quantize import packed, quantize

FUSION = "image_only"
SCHEMA = HAM10000.clinical("grouped")
BOTH = "dermiresnet+dermiresnet"
OTHERS = [("soft", "average", "one"), ("none", "gem", "one"), ("soft", "gem", "one"), ("soft", "gem", "several")]


@cache
def network(
    attention: str = "soft", pooling: str = "gem", branch: str = BOTH, fields: str = "several"
) -> FusedClassifier:
    """A narrow network whose answers and weights depend on the picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dermiresnet, "STAGE_CHANNELS", (8, 8, 16, 16))
        torch.manual_seed(0)
        after = {"receptive_fields": fields, "attention": attention, "pooling": pooling, "selects": True}
        model = FusedClassifier(FUSION, SCHEMA, 7, image_branch=branch, **after).eval()
    with torch.no_grad():
        model.head.image.kept[::3] = 0
        if model.receptive_fields is not None:
            model.receptive_fields.joined.weight.normal_(0, 0.3)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the running statistics become those of the pictures
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
        model.train()(scaled(4), None, None)
        model.eval().head.classifier[-1].weight.mul_(5)
        if model.attention is not None:
            model.attention.gamma.fill_(1.3)
            model.attention.maps.weight.mul_(5)
    return model


@cache
def traced() -> bytes:
    """The one export that all tests share: two branches, receptive fields, attention, pooling and selection."""
    content: bytes = to_onnx(network(), SCHEMA, SIZE).SerializeToString()
    return content


def pictures(batch: int) -> Tensor:
    """Random pictures uint8 [B, H, W, 3], each darker than the one before and with a bright corner."""
    images = random_inputs(batch, seed=batch)["image"]
    for row in range(batch):
        images[row] //= row + 1
        images[row, : 16 * (row + 1), :24] = 250
    return images


def scaled(batch: int) -> Tensor:
    return pictures(batch).permute(0, 3, 1, 2).float() / 255


def run(proto: onnx.ModelProto, batch: int, target: int) -> dict[str, np.ndarray]:
    session = open_session(proto)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, given(batch, target)), strict=True))


def given(batch: int, target: int) -> dict[str, np.ndarray]:
    return {"image": pictures(batch).numpy(), "target": np.full(batch, target, np.int32)}


def reader() -> BatchReader:
    """Calibration pictures like those that are asked about."""
    return BatchReader([given(batch, -1) for batch in (3, 4)])


class Whole(nn.Module):
    """The network as captum wants it; `seen` gives the map that is pooled."""

    def __init__(self, model: FusedClassifier) -> None:
        super().__init__()
        self.model, self.seen = model, nn.Identity()

    def forward(self, image: Tensor) -> Tensor:
        feature_map = self.seen(self.model.feature_map(image))
        return self.model.head(self.model.pooled(feature_map), None)


def captums(model: FusedClassifier, batch: int, target: int) -> np.ndarray:
    whole = Whole(model)
    chosen = whole(scaled(batch)).argmax(1) if target < 0 else torch.full((batch,), target)
    cam = LayerGradCam(whole, whole.seen).attribute(scaled(batch), target=chosen, relu_attributions=True)
    found = cam[:, 0].detach().numpy()
    return found / np.maximum(found.max(axis=(1, 2), keepdims=True), 1e-12)


@pytest.mark.parametrize(("attention", "pooling", "fields"), OTHERS)
def test_grad_cam_is_that_of_captum(attention: str, pooling: str, fields: str) -> None:
    model = network(attention, pooling, "dermiresnet", fields)
    different = False
    for target in range(7):
        with torch.no_grad():
            feature_map = model.feature_map(scaled(3))
        pooled = model.pooled(feature_map).detach().requires_grad_()
        gradient = ExplainedHead(model.head)(pooled, None, torch.full((3,), target, dtype=torch.int32))[1]
        found = heatmap(feature_map, model.summed_gradient(feature_map, gradient)).detach().numpy()
        np.testing.assert_allclose(found, captums(model, 3, target), atol=1e-5)
        different |= not np.allclose(found, heatmap(feature_map, gradient).detach().numpy(), atol=1e-2)
    assert different is (pooling == "gem"), "the slope of the pooling counts"


def test_the_graph_computes_and_explains_as_torch_and_captum_do() -> None:
    model, proto = network(), onnx.load_from_string(traced())
    onnx.checker.check_model(proto, full_check=True)
    for batch in (1, 3):
        with torch.no_grad():
            expected = torch.softmax(model(scaled(batch), None, None), dim=1).numpy()
        for target in (-1, 3):
            found = run(proto, batch, target)
            np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
            np.testing.assert_allclose(found["heatmap"], captums(model, batch, target), atol=1e-4)
    assert np.ptp(run(proto, 3, -1)["probabilities"], axis=0).max() > 0.01


def test_the_graph_holds_what_tensorrt_takes_and_no_rest_of_a_normalisation() -> None:
    kinds = {node.op_type for node in onnx.load_from_string(traced()).graph.node}
    assert "Softmax" in kinds and "Pow" in kinds
    assert kinds.isdisjoint({"BatchNormalization", "Gather", "GatherND", "ScatterND", "ScatterElements", "NonZero"})
    assert kinds.isdisjoint({"TopK", "Loop", "If", "Range"})


def test_layers_are_those_of_both_branches_and_what_follows_stays_in_float32() -> None:
    proto = onnx.load_from_string(traced())
    layers = trunk_layers(proto)
    assert {name.split(".")[1] for name in layers} == {"0", "1"}
    of_trunk = {node.name for nodes in layers.values() for node in nodes}
    after = {node.output[0] for node in proto.graph.node if node.op_type == "Conv" and node.name not in of_trunk}
    assert len(after) == 6, "five of the receptive fields, one of the attention"
    quantised = quantize(proto, reader(), "cpu")
    weights = {tensor.name for tensor in quantised.graph.initializer}
    kept = [node for node in quantised.graph.node if node.output[0] in after]
    assert len(kept) == 6 and all(node.op_type == "Conv" and node.input[1] in weights for node in kept)


@pytest.mark.parametrize(
    ("precision", "flavour"),
    [
        pytest.param("fp16", "any", marks=pytest.mark.exhaustive),
        ("int8", "cpu"),
        pytest.param("int8", "rtx", marks=pytest.mark.exhaustive),
    ],
)
def test_other_precisions_follow(precision: str, flavour: str) -> None:
    proto = onnx.load_from_string(traced())
    if precision == "fp16":
        assert not measure_half_ranges(proto, [given(3, -1)]).kept
    classes = range(7)
    expected = [run(proto, 3, target) for target in classes]
    if precision == "int8":
        proto = packed(quantize(proto, reader(), flavour), flavour)
    else:
        compute_trunk_in_half(proto)
    found = [run(proto, 3, target) for target in classes]
    largest, like = (0.15, 0.7) if precision == "int8" else (0.005, 0.95)
    assert np.abs(found[0]["probabilities"] - expected[0]["probabilities"]).max() < largest
    maps = [np.concatenate([each["heatmap"].ravel() for each in several]) for several in (found, expected)]
    assert np.corrcoef(maps)[0, 1] > like
