"""Every image branch exports: as torch computes it, explained as captum explains it, and in INT8 for both devices."""

import copy
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from captum.attr import LayerGradCam
from export_networks import SIZE, RandomReader, open_session, random_inputs
from torch import Tensor, nn

from dermedge.data.ham10000 import HAM10000, read_samples
from dermedge.models.branches.branch import ImageBranch
from dermedge.models.branches.families import new_branch
from dermedge.models.classifier import FusedClassifier, pool
from dermedge.training.checkpoint import save_weights
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.train import start_run
from dermedge.training.trained_part import build_model
from dermedge_export.check.parity import DEFAULT_LIMITS, ParityError
from dermedge_export.fp16.to_float16 import compute_trunk_in_half, store_matrices_in_half
from dermedge_export.fp16.value_ranges import measure_half_ranges
from dermedge_export.graph.explain_graph import ExplainedHead
from dermedge_export.graph.layers import trunk_layers, trunk_nodes
from dermedge_export.graph.to_onnx import to_onnx
from dermedge_export.int8.float32_layers import keep_in_float, quantised_layers
from dermedge_export.int8.quantize import FLAVOURS, packed, quantize
from dermedge_export.pipeline import export_model
from dermedge_runtime import Classifier

pytestmark = pytest.mark.slow

ALWAYS = ("timm:test_resnet", "repeated")
"""Tried in every run of the tests; the others when all tests are asked for."""
OTHERS = (
    "efficientnet_lite0",
    "resnet18",
    "mobilenet_v3_large",
    "dermiresnet",
    "resnet50",
    "densenet121",
    "vgg16_bn",
    "convnext_tiny",
    "shufflenet_v2_x1_0",
    "timm:mobilenetv4_conv_small",
)
each_branch = pytest.mark.parametrize(
    "name", [*ALWAYS, *(pytest.param(name, marks=pytest.mark.exhaustive) for name in OTHERS)]
)
BATCHES = (1, 3)
TARGETS = (-1, 3)


class Repeated(ImageBranch):
    """What a network may do that none of the known ones does: `x + f(x)` twice, the skip connection first.

    Between them a depthwise convolution with its normalisation, as the mobile networks have them.
    """

    channels, stride = 8, 4

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 4, stride=4), nn.BatchNorm2d(8)
        self.deep, self.deep_norm = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8)
        self.again, self.gate = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(image)))
        x = x + self.deep_norm(self.deep(x)).clamp(0, 6)
        for _ in range(2):
            x = x + self.again(x)
            x = x + self.again(x).clamp(0, 6)
        return x * torch.sigmoid(self.gate(x.mean(dim=(2, 3), keepdim=True)))


@cache
def network(name: str) -> FusedClassifier:
    """A network whose normalisations are not neutral and whose answers depend on the picture."""
    torch.manual_seed(0)
    model = FusedClassifier("concat", HAM10000.clinical("grouped"), 7)
    model.trunk = Repeated() if name == "repeated" else new_branch(name)
    model.head = type(model.head)("concat", HAM10000.clinical("grouped"), 7, 0.2, model.trunk.channels)
    model.eval()
    model.encoder.mean.fill_(52)
    model.encoder.std.fill_(17)
    with torch.no_grad():
        for module in model.trunk.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
        features = pool(model.feature_map(random_inputs(4)["image"].permute(0, 3, 1, 2).float() / 255))
        model.head.image[0].weight.div_(features.std())
        model.head.classifier[-1].weight.mul_(10)
    return model


@cache
def _traced(name: str) -> bytes:
    content: bytes = to_onnx(network(name), HAM10000.clinical("grouped"), SIZE).SerializeToString()
    return content


def traced(name: str) -> onnx.ModelProto:
    return onnx.load_from_string(_traced(name))


def run(proto: onnx.ModelProto, batch: int, target: int = -1, extra: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    proto = copy.deepcopy(proto)
    proto.graph.output.extend(onnx.helper.make_tensor_value_info(name, 1, None) for name in extra)
    session = open_session(proto)
    inputs = {name: value.numpy() for name, value in random_inputs(batch, seed=batch).items()}
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, {**inputs, "target": np.full(batch, target, np.int32)}), strict=True))


def feature_map(proto: onnx.ModelProto) -> np.ndarray:
    """What the pooling reads: of an INT8 graph the dequantised map, whose step may stand for the last rectifier."""
    made = {output: node for node in proto.graph.node for output in node.output}
    rounded = [node.output[0] for node in proto.graph.node if _rounds_the_map(node, made)]
    name = rounded[0] if rounded else "feature_map"
    return run(proto, 3, extra=(name,))[name]


def _rounds_the_map(node: onnx.NodeProto, made: dict[str, onnx.NodeProto]) -> bool:
    if node.op_type != "DequantizeLinear" or node.input[0] not in made:
        return False
    return made[node.input[0]].input[0] == "feature_map"


class Encoded(nn.Module):
    """The network as captum wants it: from image and encoded clinical vector to scores."""

    def __init__(self, model: FusedClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor, clinical: Tensor) -> Tensor:
        return self.model.head(pool(self.model.trunk(image)), clinical)


@each_branch
def test_the_graph_computes_and_explains_as_torch_and_captum_do(name: str) -> None:
    model, proto = network(name), traced(name)
    onnx.checker.check_model(proto, full_check=True)
    names = [node.name for node in proto.graph.node]
    assert len(set(names)) == len(names)
    for batch in BATCHES:
        inputs = random_inputs(batch, seed=batch)
        image = inputs["image"].permute(0, 3, 1, 2).float() / 255
        clinical = model.encoder(inputs["numeric"], inputs["categorical"])
        with torch.no_grad():
            logits = model.head(pool(model.trunk(image)), clinical)
        for target in TARGETS:
            chosen = logits.argmax(1) if target < 0 else torch.full((batch,), target)
            cam = LayerGradCam(Encoded(model), model.trunk).attribute(
                image, target=chosen, additional_forward_args=(clinical,), relu_attributions=True
            )
            heatmap = cam[:, 0].detach().numpy()
            heatmap = heatmap / np.maximum(heatmap.max(axis=(1, 2), keepdims=True), 1e-12)
            pooled = pool(model.trunk(image)).detach().requires_grad_()
            attribution = ExplainedHead(model.head)(pooled, clinical, chosen.to(torch.int32))[2].detach().numpy()
            found = run(proto, batch, target)
            np.testing.assert_allclose(found["probabilities"], torch.softmax(logits, 1).numpy(), atol=1e-4)
            np.testing.assert_allclose(found["heatmap"], heatmap, atol=1e-4)
            scale = np.abs(attribution).max()
            np.testing.assert_allclose(found["attribution"], attribution, atol=1e-4 * scale)
            relevance = np.abs(attribution) / np.abs(attribution).max(axis=1, keepdims=True)
            np.testing.assert_allclose(found["relevance"], relevance, atol=1e-4)


@each_branch
def test_nothing_is_left_that_the_convolutions_can_do(name: str) -> None:
    nodes = trunk_nodes(traced(name))
    kinds = [node.op_type for node in nodes]
    first = kinds.index("Conv")
    assert kinds[:first] in (["Cast", "Transpose", "Div"], ["Cast", "Transpose", "Div", "Sub"])
    left = kinds.count("BatchNormalization")
    # Its normalisations come before the convolutions, behind sums of different ones: 61 and the last.
    assert left == (62 if name == "densenet121" else 0)
    assert {"Gather", "Range", "Pad"}.isdisjoint(kinds)


@pytest.mark.parametrize("flavour", FLAVOURS)
@each_branch
def test_int8_follows_float32(name: str, flavour: str) -> None:
    proto = traced(name)
    expected = feature_map(proto)
    quantised = quantize(proto, RandomReader(proto), flavour)
    assert set(quantised_layers(quantised)) == set(trunk_layers(proto))
    onnx.checker.check_model(packed(quantised, flavour), full_check=True)
    found = feature_map(packed(quantised, flavour))
    error = float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
    assert error < 0.3, error
    layers = quantised_layers(quantised)
    half = keep_in_float(quantised, proto, layers[::2])
    assert len(quantised_layers(half)) == len(layers) // 2
    onnx.checker.check_model(half, full_check=True)
    run(packed(half, flavour), 1)
    whole = feature_map(keep_in_float(quantised, proto, layers))
    np.testing.assert_allclose(whole, expected, atol=1e-4 * np.abs(expected).max())


@each_branch
def test_half_precision_follows_float32(name: str) -> None:
    proto = traced(name)
    expected = run(proto, 3)["probabilities"]
    inputs = {key: value.numpy() for key, value in random_inputs(3, seed=3).items()}
    ranges = measure_half_ranges(proto, [{**inputs, "target": np.full(3, -1, np.int32)}])
    assert len(ranges.kept) <= len(trunk_layers(proto)) / 2, ranges.kept
    compute_trunk_in_half(proto, keep=ranges.kept)
    store_matrices_in_half(proto)
    onnx.checker.check_model(proto, full_check=True)
    found = run(proto, 3)["probabilities"]
    np.testing.assert_allclose(found, expected, atol=0.02)


# Half a minute and more, most of it for ranking the layers of an INT8 file that may be refused in the end: the gate
# itself is tried on the other branch, and what this network becomes in INT8 by the tests above.
@pytest.mark.exhaustive
def test_a_run_of_another_branch_goes_through_the_gate_or_is_refused(
    trained_run: Run, synthetic_data: Path, tmp_path: Path
) -> None:
    settings = trained_run.config.to_record() | {"image_branch": "efficientnet_lite0", "fusion": "concat"}
    run_ = start_run(type(trained_run.config).from_record(settings), trained_run.split, RunFolder(tmp_path / "run"))
    model = build_model(run_.config, run_.schema)
    model.trunk.load_state_dict(network("efficientnet_lite0").trunk.state_dict())
    save_weights(run_.weights_file, model.state_dict())
    samples = read_samples(synthetic_data)
    whole = export_model(run_, samples, "fp32", tmp_path / "fp32.onnx")
    assert whole.parity.agreement == 1
    try:
        export = export_model(run_, samples, "int8", tmp_path / "int8.onnx")
    except ParityError as error:
        assert "int8.onnx was not written" in str(error)
        assert not (tmp_path / "int8.onnx").exists()
    else:
        assert not export.parity.violations(DEFAULT_LIMITS["int8"])
        assert export.bytes < 0.4 * whole.bytes
        assert Classifier(export.path, "cpu").spec.precision == "int8"
