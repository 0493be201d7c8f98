"""A graph that is not what its description says is refused when the model is opened, not at the first picture."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from make_tiny_model import AGE, SEX, SITE, build, describe_as, tiny_spec
from onnx import TensorProto, helper

from dermedge_runtime import Classifier, ModelFileError
from dermedge_runtime.inputs.clinical import ClinicalSchema
from dermedge_runtime.model.description import ImageSpec, ModelSpec

SPEC = tiny_spec()
FOUR = {**SPEC.class_names, "df": "dermatofibroma"}


def refusal(model: onnx.ModelProto, folder: Path) -> str:
    path = folder / "x.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError) as caught:
        Classifier(path, "cpu")
    assert caught.value.exit_code == 4
    return str(caught.value)


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        (replace(SPEC, image=ImageSpec(32, "bilinear")), "image"),
        (replace(SPEC, image=None), "image"),
        (replace(SPEC, clinical=ClinicalSchema((AGE, replace(AGE, name="height")), (SEX, SITE))), "numeric"),
        (replace(SPEC, clinical=ClinicalSchema((), (SEX, SITE))), "numeric"),
        (replace(SPEC, clinical=ClinicalSchema((AGE,), (SITE,))), "categorical"),
        (replace(SPEC, clinical=ClinicalSchema()), "categorical, numeric"),
        (replace(SPEC, classes=("nv", "mel")), "probabilities"),
        (replace(SPEC, classes=("nv", "mel", "bcc", "df"), class_names=FOUR, image=None), "image, probabilities"),
    ],
)
def test_a_description_of_another_graph(tmp_path: Path, spec: ModelSpec, parts: str) -> None:
    assert refusal(describe_as(build(), spec), tmp_path) == (
        f"x.onnx: the graph and its description disagree on {parts}. Export it again."
    )


@pytest.mark.parametrize("part", ["image", "clinical"])
def test_a_graph_that_lacks_what_is_described(tmp_path: Path, part: str) -> None:
    text = refusal(describe_as(build(**{part: False}), SPEC), tmp_path)
    assert f"disagree on {'image' if part == 'image' else 'categorical, numeric'}." in text


def float_image(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def other_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = model.graph.node[-1].output[0] = "scores"


def one_more_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("weight", TensorProto.FLOAT, ["batch", 1]))


def one_picture_at_a_time(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (float_image, "image"),
        (other_output, "probabilities, scores"),
        (one_more_input, "weight"),
    ],
)
def test_a_graph_that_breaks_the_contract(tmp_path: Path, change: Callable[[onnx.ModelProto], None], part: str) -> None:
    model = build()
    change(model)
    assert f"disagree on {part}." in refusal(model, tmp_path)


def test_a_graph_for_one_picture_at_a_time(tmp_path: Path) -> None:
    model = build()
    one_picture_at_a_time(model)
    assert "'image' that is not a batch of any size of rows of one size" in refusal(model, tmp_path)


def test_a_model_is_checked_before_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*arguments: object) -> None:
        raise AssertionError("an unsafe file reached ONNX Runtime")

    monkeypatch.setattr("dermedge_runtime.classifier.open_session", opened)
    model = build()
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    assert "external data" in refusal(model, tmp_path)


def test_a_graph_with_missing_nodes_is_refused(tmp_path: Path) -> None:
    model = build()
    del model.graph.node[3:]
    assert refusal(model, tmp_path).startswith("ONNX Runtime cannot load x.onnx: ")
