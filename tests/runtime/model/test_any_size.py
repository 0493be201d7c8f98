"""A file whose graph takes pictures of any size answers in the runtime as one of a fixed size, and is as safe."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from any_size_models import FED, tiny_of_any_size, write_tiny
from graph_shapes import shapes_by_rule, shapes_by_running
from make_tiny_model import SIZE, TINY, build, describe_as, tiny_spec
from onnx import helper, numpy_helper

from dermedge_runtime import Classifier, DeviceUnavailable, InputRejected, ModelFileError
from dermedge_runtime.model.description import ImageSpec, ModelSpec
from dermedge_runtime.model.model_file import read_model_file

PICTURE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
ANY = ImageSpec(SIZE, "bilinear", any_size=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_tiny(tmp_path, tiny_of_any_size())


def test_the_answers_are_those_of_a_fixed_size(path: Path) -> None:
    fixed, free = Classifier(TINY, "cpu"), Classifier(path, "cpu")
    assert free.spec.image == ANY
    pictures = [PICTURE, PICTURE[:5, :7].copy(), PICTURE[:SIZE, :SIZE].copy()]
    for one, other in zip(fixed.predict_many(pictures), free.predict_many(pictures), strict=True):
        assert one.probabilities == other.probabilities


def test_prepared_arrays_have_the_own_size(path: Path) -> None:
    classifier = Classifier(path, "cpu")
    numeric, categorical = np.full((1, 1), np.nan, np.float32), np.full((1, 2), -1, np.int32)
    with pytest.raises(InputRejected, match=r"uint8 \[B, 16, 16, 3\] .*got uint8 \[1, 90, 120, 3\]"):
        classifier.run(PICTURE[None], numeric, categorical)


@pytest.mark.parametrize("device", ["tensorrt", "rtx"])
def test_tensorrt_is_refused_with_the_reason(path: Path, device: str) -> None:
    with pytest.raises(DeviceUnavailable) as caught:
        Classifier(path, device)
    assert str(caught.value) == (
        f"{device} was requested, but any.onnx takes pictures of any size, and TensorRT has no resizing with"
        " antialias. Export it again without --any-size, or pass --device cpu."
    )


def test_the_shapes_are_those_of_onnx_runtime() -> None:
    model = tiny_of_any_size()
    found = shapes_by_running(model, 3, FED)
    assert shapes_by_rule(model, 3, list(found), FED) == found


def test_the_description_reads_back_and_others_stay_as_they_were() -> None:
    spec = replace(tiny_spec(), image=ANY)
    assert '"any_size":true' in spec.to_json()
    assert ModelSpec.from_json(spec.to_json(), "x") == spec
    assert "any_size" not in tiny_spec().to_json()


@pytest.mark.parametrize("value", ["1", '"true"', "null"])
def test_a_description_with_something_else_than_true_or_false(value: str) -> None:
    text = replace(tiny_spec(), image=ANY).to_json().replace('"any_size":true', f'"any_size":{value}')
    with pytest.raises(ModelFileError, match="any_size is not true or false"):
        ModelSpec.from_json(text, "x")


def test_a_description_with_another_filter() -> None:
    text = replace(tiny_spec(), image=ANY).to_json().replace("bilinear", "lanczos")
    with pytest.raises(ModelFileError, match="a graph that resizes is bilinear, not lanczos"):
        ModelSpec.from_json(text, "x")


def refusal(model: onnx.ModelProto, folder: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        Classifier(write_tiny(folder, model), "cpu")
    return str(caught.value)


def test_a_fixed_graph_that_is_said_to_take_any_size(tmp_path: Path) -> None:
    model = describe_as(build(), replace(tiny_spec(), image=ANY))
    assert "the graph and its description disagree on image." in refusal(model, tmp_path)


def test_a_graph_of_any_size_that_is_not_said_to_be_one(tmp_path: Path) -> None:
    model = describe_as(tiny_of_any_size(), tiny_spec())
    assert "has an input 'image' that is not a batch of any size of rows of one size" in refusal(model, tmp_path)


def free_channels(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "channels"


def other_input_free(model: onnx.ModelProto) -> None:
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_param = "fields"


@pytest.mark.parametrize(
    ("change", "message"),
    [(free_channels, "disagree on image"), (other_input_free, "input 'numeric' that is not a batch")],
)
def test_only_height_and_width_are_free(
    change: Callable[[onnx.ModelProto], None], message: str, tmp_path: Path
) -> None:
    model = tiny_of_any_size()
    change(model)
    assert message in refusal(model, tmp_path)


def test_a_small_file_that_would_take_much_memory_is_refused(tmp_path: Path) -> None:
    model = tiny_of_any_size()
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([helper.make_node("Tile", ["image", "many"], ["large"]), *nodes])
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 1, 1, 100_000]), "many"))
    assert "would take more memory than its size explains: operator Tile" in refusal(model, tmp_path)


def test_it_is_read_without_being_opened(path: Path) -> None:
    assert read_model_file(path).spec.image == ANY
