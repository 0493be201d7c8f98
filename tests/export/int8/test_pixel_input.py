"""The bytes of a picture go into the first convolution of an INT8 file as they are."""

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from made_once import SharedFolder
from traced_once import TracedOnce

from dermedge.data.ham10000 import read_samples
from dermedge.training.predictions import trained_model
from dermedge_export.description import describe
from dermedge_export.int8.calibration import CalibrationReader, model_inputs
from dermedge_export.int8.float32_layers import keep_in_float
from dermedge_export.int8.pixel_input import PIXEL_STEP, read_pixels_as_they_are, whole_pixels
from dermedge_export.int8.quantize import packed, quantize


@pytest.fixture(scope="module")
def case(trained_run, synthetic_data: Path, shared_folder: SharedFolder):
    """FP32 graph, QDQ graph before it is packed, and the inputs of one photograph."""
    split = trained_run.split
    spec = describe(trained_run, "int8", explain=False)
    samples = split.select(read_samples(synthetic_data), "train")[:16]
    graph = TracedOnce(shared_folder)(trained_model(trained_run), spec.clinical, spec.image.size, explain=False)
    original = onnx.ModelProto()
    original.CopyFrom(graph)
    return original, quantize(graph, CalibrationReader(samples, spec)), model_inputs(samples[:1], spec)


def _run(proto: onnx.ModelProto, inputs: dict) -> np.ndarray:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL  # the graph as it is written
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["probabilities"], inputs)[0]


def test_the_probabilities_stay_the_same(case) -> None:
    _, quantised, inputs = case
    short = onnx.ModelProto()
    short.CopyFrom(quantised)
    read_pixels_as_they_are(short)
    assert len(short.graph.node) == len(quantised.graph.node) - 3  # cast, division, quantisation
    np.testing.assert_allclose(_run(short, inputs), _run(quantised, inputs), atol=1e-6)
    onnx.checker.check_model(short)


def test_the_packed_file_reads_bytes(case) -> None:
    _, quantised, inputs = case
    file = packed(quantised, "cpu")
    (reader,) = [node for node in file.graph.node if "image" in node.input]
    (after,) = [node for node in file.graph.node if reader.output[0] in node.input]
    assert (reader.op_type, after.op_type) == ("Transpose", "DequantizeLinear")
    step = next(tensor for tensor in file.graph.initializer if tensor.name == after.input[1])
    assert onnx.numpy_helper.to_array(step) == np.float32(PIXEL_STEP)
    assert _run(file, inputs).shape == (1, 7)


def test_a_first_layer_in_float32_keeps_the_division(case) -> None:
    original, quantised, inputs = case
    mixed = packed(keep_in_float(quantised, original, ["conv1"]), "cpu")
    assert [node.op_type for node in mixed.graph.node if "image" in node.input] == ["Cast"]
    assert _run(mixed, inputs).shape == (1, 7)


def test_another_chain_or_step_is_left_alone(case) -> None:
    original, quantised, _ = case
    assert whole_pixels(copy.deepcopy(original)) is not None
    other = onnx.ModelProto()
    other.CopyFrom(quantised)
    (division,) = [node for node in other.graph.node if node.op_type == "Div" and node.input[0] == "permute"]
    (quantising,) = [node for node in other.graph.node if division.output[0] in node.input]
    step = next(tensor for tensor in other.graph.initializer if tensor.name == quantising.input[1])
    step.CopyFrom(onnx.numpy_helper.from_array(np.array(0.01, np.float32), step.name))
    before = len(other.graph.node)
    read_pixels_as_they_are(other)
    assert len(other.graph.node) == before
