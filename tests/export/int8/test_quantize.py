"""INT8 files: what is quantised, from which photographs, and how."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from export_networks import RandomReader
from onnx import TensorProto, numpy_helper

from dermedge.data.ham10000 import read_samples
from dermedge.data.samples import Sample
from dermedge.models.fake_quantised import rounded_weights
from dermedge_export.conversion import conversions
from dermedge_export.description import describe
from dermedge_export.int8.calibration import CalibrationReader, choose
from dermedge_export.int8.quantize import FLAVOURS, quantize
from dermedge_export.pipeline import build_graph


@pytest.fixture(scope="module", params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def fp32(traced_once, trained_run) -> onnx.ModelProto:
    """The graph that both flavours are made from."""
    return build_graph(trained_run, describe(trained_run, "fp32"), [])


@pytest.fixture(scope="module")
def int8(flavour: str, fp32: onnx.ModelProto, trained_run, synthetic_data: Path) -> onnx.ModelProto:
    split = trained_run.split
    calibration = split.select(read_samples(synthetic_data), "train")[:16]
    spec = describe(trained_run, "int8", flavour=flavour)
    return next(conversions(fp32, spec, calibration, sensitivity=False)).proto


def test_weights_are_int8_per_output_channel_and_activations_of_the_flavour(
    int8: onnx.ModelProto, flavour: str
) -> None:
    initializers = {tensor.name: tensor for tensor in int8.graph.initializer}
    producer = {output: node for node in int8.graph.node for output in node.output}
    convolutions = [node for node in int8.graph.node if node.op_type == "Conv"]
    kind = {"cpu": TensorProto.UINT8, "rtx": TensorProto.INT8}[flavour]
    assert len(convolutions) == 17
    for node in convolutions:
        weight, activation = producer[node.input[1]], producer[node.input[0]]
        assert weight.op_type == activation.op_type == "DequantizeLinear"
        stored = initializers[weight.input[0]]
        assert stored.data_type == TensorProto.INT8
        assert list(initializers[weight.input[1]].dims) == [stored.dims[0]]
        assert not numpy_helper.to_array(initializers[weight.input[2]]).any()  # symmetric
        assert initializers[activation.input[2]].data_type == kind


def test_biases_and_zero_points_of_the_flavour(int8: onnx.ModelProto, flavour: str) -> None:
    initializers = {tensor.name: tensor for tensor in int8.graph.initializer}
    quantized = [node for node in int8.graph.node if node.op_type == "DequantizeLinear"]
    zero_points = [numpy_helper.to_array(initializers[node.input[2]]) for node in quantized]
    biases = [node.input[2] in initializers for node in int8.graph.node if node.op_type == "Conv"]
    assert all(biases) == any(biases) == (flavour == "rtx")  # in float32, or dequantized from int32
    assert any(zero_point.any() for zero_point in zero_points) == (flavour == "cpu")


def test_everything_after_the_pooling_computes_in_float32(int8: onnx.ModelProto) -> None:
    producer = {output: node for node in int8.graph.node for output in node.output}
    head = [node for node in int8.graph.node if node.op_type in ("Gemm", "MatMul", "Softmax")]
    assert {node.op_type for node in head} == {"Gemm", "MatMul", "Softmax"}
    for node in head:
        inputs = [producer[name].op_type for name in node.input if name in producer]
        assert "DequantizeLinear" not in inputs


def test_only_onnx_operators(int8: onnx.ModelProto) -> None:
    assert [(entry.domain, entry.version) for entry in int8.opset_import] == [("", 20)]
    assert {node.domain for node in int8.graph.node} == {""}


def _samples(counts: dict[int, int]) -> list[Sample]:
    return [
        Sample(f"{label}-{index}", f"L{label}-{index}", Path("x"), label, {})
        for label, count in counts.items()
        for index in range(count)
    ]


def test_classes_take_turns_until_they_run_out() -> None:
    chosen = choose(_samples({0: 50, 1: 3, 2: 50}), 15, seed=0)
    assert np.bincount([sample.label for sample in chosen]).tolist() == [6, 3, 6]
    assert len({sample.image_id for sample in chosen}) == 15


def test_choice_depends_on_the_seed_alone() -> None:
    samples = _samples({0: 50, 1: 50})
    assert choose(samples, 10, seed=1) == choose(samples, 10, seed=1) != choose(samples, 10, seed=2)


def test_choice_never_repeats_when_photographs_run_out() -> None:
    assert len(choose(_samples({0: 2, 1: 1}), 100, seed=0)) == 3


def test_reader_gives_ranges_of_batches(trained_run, synthetic_data: Path) -> None:
    split = trained_run.split
    samples = split.select(read_samples(synthetic_data), "train")[:17]
    reader = CalibrationReader(samples, describe(trained_run, "int8"))
    assert len(reader) == 3
    sizes = []
    while (batch := reader.get_next()) is not None:
        sizes.append(len(batch["image"]))
    assert sizes == [8, 8, 1]
    reader.set_range(1, 2)
    assert reader.get_next()["image"].shape == (8, 32, 32, 3)
    assert reader.get_next() is None


def test_a_weight_that_is_read_transposed_is_quantised_as_a_weight(traced) -> None:
    original = traced("clinical_only")
    proto = quantize(original, RandomReader(original))
    stored = {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
    producer = {output: node for node in proto.graph.node for output in node.output}
    products = [node for node in proto.graph.node if node.op_type in ("Gemm", "MatMul")]
    assert len(products) == 11
    for node in products:
        assert stored[producer[node.input[1]].input[0]] == TensorProto.INT8
    assert not {"Transpose", "Unsqueeze"} & {node.op_type for node in proto.graph.node if node.input[0] in stored}


def test_weights_that_were_trained_with_their_rounding_keep_it(
    fp32: onnx.ModelProto, trained_run, synthetic_data: Path
) -> None:
    calibration = trained_run.split.select(read_samples(synthetic_data), "train")[:16]
    spec = describe(trained_run, "int8")
    made = next(conversions(fp32, spec, calibration, sensitivity=False, quantise_aware=True))
    assert made.record["rounding"] == "as trained"
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.proto.graph.initializer}
    kernels = [each for each in fp32.graph.initializer if len(each.dims) == 4 and f"{each.name}_quantized" in stored]
    assert len(kernels) >= 17
    for kernel in kernels:
        weight = numpy_helper.to_array(kernel).copy()
        step = stored[f"{kernel.name}_scale"].reshape(-1, *[1] * (weight.ndim - 1))
        in_file = stored[f"{kernel.name}_quantized"] * step
        trained = rounded_weights(torch.from_numpy(weight)).numpy()
        # A value between two steps may fall to either side, by the last bit of the step.
        assert np.mean(~np.isclose(in_file, trained, rtol=1e-4, atol=1e-7)) < 1e-3, kernel.name
