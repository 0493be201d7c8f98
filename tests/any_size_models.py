"""The tiny model, the one in the box, and a graph that only resizes, all for pictures of any size."""

from pathlib import Path

import onnx
from make_tiny_model import SIZE, build, describe_as, tiny_spec
from onnx import TensorProto, helper

from dermedge_export.graph.any_size import described_as_any_size, taking_any_size
from dermedge_export.pipeline import write_described
from dermedge_runtime import model_in_the_box
from dermedge_runtime.model.description import ImageSpec, ModelSpec
from dermedge_runtime.model.model_file import read_model_file

FED = {"image": (SIZE, SIZE, 3)}


def spec_of(size: int) -> ModelSpec:
    """The tiny model's description, with pictures of another size."""
    made = tiny_spec()
    return ModelSpec(made.classes, made.class_names, "concat", "fp32", ImageSpec(size, "bilinear"), made.clinical)


def resizing_only(size: int) -> onnx.ModelProto:
    """A graph that gives its picture, uint8 [B, size, size, 3], as it arrives at the network."""
    values = [helper.make_tensor_value_info(n, TensorProto.UINT8, ["batch", size, size, 3]) for n in ("image", "seen")]
    node = helper.make_node("Identity", ["image"], ["seen"])
    graph = helper.make_graph([node], "picture", values[:1], values[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return taking_any_size(proto, spec_of(size))


def tiny_of_any_size() -> onnx.ModelProto:
    """The tiny model, described, for pictures of any size."""
    spec = described_as_any_size(tiny_spec())
    return describe_as(taking_any_size(build(), spec), spec)


def write_box_of_any_size(folder: Path) -> Path:
    """The model in the box with the resizing in front of its graph."""
    file, path = read_model_file(model_in_the_box()), folder / "box.onnx"
    spec = described_as_any_size(file.spec)
    write_described(taking_any_size(onnx.load_from_string(file.content), spec), spec, path)
    return path


def write_tiny(folder: Path, model: onnx.ModelProto) -> Path:
    """Write a model beside nothing else."""
    path = folder / "any.onnx"
    path.write_bytes(model.SerializeToString())
    return path
