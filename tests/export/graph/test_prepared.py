"""Model files whose graph prepares the picture itself: what it computes, in which precision, and what the file says."""

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from export_networks import SIZE, RandomReader, random_classifier, random_inputs, torch_probabilities_of
from needs_tensorrt import needs_tensorrt
from onnx import TensorProto

from dermedge.data.ham10000 import CLASSES, HAM10000
from dermedge.models.classifier import FusedClassifier
from dermedge.models.preparation.preparation import Preparation
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.train import start_run
from dermedge_export.description import describe, write_described
from dermedge_export.engine.build import build_engine
from dermedge_export.engine.target import EngineTarget
from dermedge_export.engine.tensorrt_library import load_tensorrt
from dermedge_export.fp16.to_float16 import compute_trunk_in_half, store_matrices_in_half
from dermedge_export.fp16.value_ranges import measure_half_ranges
from dermedge_export.graph.layers import trunk_layers
from dermedge_export.graph.to_onnx import OPSET, output_names, to_onnx
from dermedge_export.int8.float32_layers import keep_in_float, quantised_layers
from dermedge_export.int8.quantize import FLAVOURS, packed, quantize
from dermedge_runtime.commands.inspection import inspection_text
from dermedge_runtime.inputs.clinical import ClinicalSchema
from dermedge_runtime.model.description import ImageSpec, ModelSpec
from dermedge_runtime.model.model_file import read_model_file
from dermedge_runtime.model.scanner.scan import check_memory, scan

FUSION = "image_only"
STEPS = ("hair_removal", "colour_constancy", "contrast")


@cache
def network() -> FusedClassifier:
    model = random_classifier(FUSION)
    model.preparation = Preparation(**dict.fromkeys(STEPS, True))
    return model


@cache
def traced() -> bytes:
    """The one export that all tests share."""
    content: bytes = to_onnx(network(), HAM10000.clinical("grouped"), SIZE).SerializeToString()
    return content


def fp32() -> onnx.ModelProto:
    return onnx.load_from_string(traced())


@cache
def int8(flavour: str) -> onnx.ModelProto:
    proto = fp32()
    return quantize(proto, RandomReader(proto), flavour)


def converted(precision: str, flavour: str) -> onnx.ModelProto:
    if precision == "int8":
        return packed(int8(flavour), flavour)
    proto = fp32()
    if precision == "fp16":
        compute_trunk_in_half(proto)
        store_matrices_in_half(proto)
    return proto


def pictures(batch: int) -> dict[str, torch.Tensor]:
    """Random pictures, the first smooth and pink with dark lines across it."""
    inputs = random_inputs(batch, seed=batch)
    skin = torch.tensor([220, 150, 140], dtype=torch.uint8).expand(SIZE, SIZE, 3).clone()
    skin[20:22, 5:60], skin[10:55, 40], skin[range(5, 50), range(5, 50)] = 30, 40, 50
    inputs["image"][0] = skin
    return inputs


def run(proto: onnx.ModelProto, inputs: dict[str, torch.Tensor], output: str = "probabilities") -> np.ndarray:
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    images = inputs["image"].numpy()
    feed = {"image": images, "target": np.full(len(images), -1, dtype=np.int32)}
    return session.run([output], {value.name: feed[value.name] for value in session.get_inputs()})[0]


def preparing(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Nodes before the first convolution, the nearest first: those that change its precision, then the preparation."""
    producer = {output: node for node in proto.graph.node for output in node.output}
    first = next(node for node in proto.graph.node if node.op_type == "Conv")
    pending, found = [first.input[0]], {}
    while pending:
        node = producer.get(pending.pop(0))
        if node is not None and node.name not in found:
            found[node.name] = node
            pending += node.input
    return list(found.values())


def assert_prepared_as_in_torch(proto: onnx.ModelProto, after: tuple[str, ...]) -> None:
    """Compare the prepared picture itself: a random network hardly looks at pictures.

    :param after: operators between the preparation and the first convolution.
    """
    nodes = preparing(proto)
    assert tuple(node.op_type for node in nodes[: len(after)]) == after
    prepared = nodes[len(after)].output[0]
    cut = onnx.ModelProto()
    cut.CopyFrom(proto)
    cut.graph.output.append(onnx.helper.make_tensor_value_info(prepared, TensorProto.FLOAT, None))
    inputs = pictures(3)
    scaled = inputs["image"].permute(0, 3, 1, 2).float() / 255
    expected = network().preparation(scaled).numpy()
    found = run(cut, inputs, prepared)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(expected - scaled.numpy()).mean(axis=(1, 2, 3)).min() > 0.1, "and something was to be done"


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_the_graph_computes_what_torch_does(batch: int) -> None:
    inputs = pictures(batch)
    np.testing.assert_allclose(run(fp32(), inputs), torch_probabilities_of(network(), inputs).numpy(), atol=1e-5)


def test_the_graph_prepares_as_torch_does() -> None:
    assert_prepared_as_in_torch(fp32(), ())


def test_the_graph_keeps_the_contract_and_the_layers_their_names() -> None:
    proto = fp32()
    onnx.checker.check_model(proto, full_check=True)
    findings = scan(proto.SerializeToString(), "exported")
    check_memory(findings, "exported", {})
    assert findings.domains == {""}
    layers = trunk_layers(proto)
    assert next(iter(layers)) == "conv1" and len(layers) == 17
    names = [node.name for node in proto.graph.node]
    assert len(set(names)) == len(names)
    assert {node.op_type for node in proto.graph.node if "image" in node.input} - {"Shape"} == {"Cast"}


def test_half_precision_begins_after_the_preparation() -> None:
    proto = fp32()
    ranges = measure_half_ranges(proto, [{"image": pictures(4)["image"].numpy(), "target": np.full(4, -1, np.int32)}])
    assert ranges.kept == {}
    compute_trunk_in_half(proto)
    assert_prepared_as_in_torch(proto, ("Cast",))
    kinds = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    before = preparing(proto)
    assert len(before) > 100
    assert TensorProto.FLOAT16 not in {kinds[name] for node in before for name in node.input if name in kinds}
    inputs = pictures(3)
    np.testing.assert_allclose(run(proto, inputs), torch_probabilities_of(network(), inputs).numpy(), atol=5e-3)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_int8_begins_after_the_preparation(flavour: str) -> None:
    assert_prepared_as_in_torch(int8(flavour), ("DequantizeLinear", "QuantizeLinear"))
    assert sum("Linear" in node.op_type for node in preparing(int8(flavour))) == 2
    inputs = pictures(3)
    found = run(packed(int8(flavour), flavour), inputs)
    np.testing.assert_allclose(found, torch_probabilities_of(network(), inputs).numpy(), atol=0.05)


def test_layers_given_back_to_float_leave_the_preparation_alone() -> None:
    quantised = int8("cpu")
    mixed = keep_in_float(quantised, fp32(), quantised_layers(quantised))
    inputs = pictures(3)
    np.testing.assert_allclose(run(mixed, inputs), run(fp32(), inputs), atol=1e-5)


def test_other_estimates_of_the_light_are_those_of_torch() -> None:
    image = pictures(3)["image"].permute(0, 3, 1, 2).float() / 255
    steps = torch.nn.ModuleList(
        [Preparation(colour_constancy=True, light_estimate=each) for each in ("gray_world", "max_rgb")]
    )

    class Both(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(step(image) for step in steps)

    program = torch.onnx.export(Both().eval(), (image,), dynamo=True, verbose=False, opset_version=OPSET)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    for one, expected in zip(found, Both()(image), strict=True):
        np.testing.assert_allclose(one, expected, atol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 0.01


@needs_tensorrt
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_tensorrt_takes_the_graph(precision: str, tmp_path: Path) -> None:
    spec = ModelSpec(
        classes=CLASSES,
        class_names=HAM10000.class_names,
        fusion=FUSION,
        precision=precision,
        outputs=output_names(network().modalities, explain=True),
        flavour="rtx" if precision == "int8" else "any",
        image=ImageSpec(SIZE, "bilinear"),
        clinical=ClinicalSchema(),
    )
    path = tmp_path / "prepared.onnx"
    write_described(converted(precision, "rtx"), spec, path)
    target = EngineTarget()
    content, record = build_engine(read_model_file(path), target, load_tensorrt(target))
    assert len(content) > 0.8 * path.stat().st_size
    assert record.layers["convolution"] == 17


def test_the_file_says_what_its_graph_does(trained_run: Run, tmp_path: Path) -> None:
    runs = {}
    for name, steps in {"all": STEPS, "last": STEPS[2:], "none": ()}.items():
        settings = trained_run.config.to_record() | dict.fromkeys(steps, True)
        config = type(trained_run.config).from_record(settings)
        runs[name] = start_run(config, trained_run.split, RunFolder(tmp_path / name))
        runs[name].weights_file.write_bytes(trained_run.weights_file.read_bytes())
        training = describe(runs[name], "fp32").training
        assert training.get("prepared_in_graph", []) == list(steps)
        assert {step: training["settings"][step] for step in STEPS} == {step: step in steps for step in STEPS}
        if steps:
            assert f"prepared_in_graph: {', '.join(steps)}" in inspection_text({"training": training})
