"""Build tests/data/tiny.onnx: a real model of a few kilobytes that keeps to the contract of a dermedge model file.

Run `python tests/make_tiny_model.py` to write it again. The weights are small fractions given by a formula, so that
the answer depends on the colour and place of every pixel, on the age, the sex and the site, and on what is unknown.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalSchema, NumericField
from dermedge_runtime.model.description import METADATA_KEY, ImageSpec, ModelSpec
from dermedge_runtime.model.digest import sealed

TINY = Path(__file__).parent / "data" / "tiny.onnx"
SIZE = 16
# Not in alphabetical order: a result in the order of the file can be told from a sorted one.
CLASSES = {"nv": "melanocytic nevus", "bcc": "basal cell carcinoma", "mel": "melanoma"}
AGE = NumericField("age", "years", 0.0, 120.0)
SEX = CategoricalField("sex", ("female", "male"))
SITE = CategoricalField("site", ("back", "face", "lower extremity"))


def tiny_spec(*, image: bool = True, clinical: bool = True) -> ModelSpec:
    """Describe the tiny model, or its variant without a picture or without clinical fields."""
    return ModelSpec(
        classes=tuple(CLASSES),
        class_names=CLASSES,
        fusion="concat",
        precision="fp32",
        image=ImageSpec(SIZE, "bilinear") if image else None,
        clinical=ClinicalSchema((AGE,), (SEX, SITE)) if clinical else ClinicalSchema(),
        training={"data": "none, the weights are a formula"},
        parity={"max_difference": 0.0},
        licence="Apache-2.0",
        intended_use="tests",
        versions={"dermedge": "0"},
    )


def with_synonyms(spec: ModelSpec) -> ModelSpec:
    """Give a description of the tiny model another word for a number, and another for a word."""
    age, site = replace(AGE, synonyms={"85+": 85.0}), replace(SITE, synonyms={"Gesicht": "face"})
    return replace(spec, clinical=ClinicalSchema((age,), (SEX, site)))


def describe_as(model: onnx.ModelProto, spec: ModelSpec) -> onnx.ModelProto:
    """Replace the description that a model carries."""
    del model.metadata_props[:]
    helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    return model


def build(*, image: bool = True, clinical: bool = True) -> onnx.ModelProto:
    """Build the tiny model, or its variant without a picture or without clinical fields."""
    inputs: list[onnx.ValueInfoProto] = []
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray] = {}
    features: list[str] = []
    width = 0
    if image:
        _add_image(inputs, nodes, constants)
        features, width = ["colour"], 3
    if clinical:
        _add_clinical(inputs, nodes, constants)
        features, width = [*features, "age", "sex", "site"], width + 1 + len(SEX.vocabulary) + len(SITE.vocabulary)
    rows, columns = np.indices((width, len(CLASSES)))
    constants["weights"] = (((rows * 7 + columns * rows + columns**2 * 5) % 11 - 5) / 4).astype(np.float32)
    constants["bias"] = np.array([0.25, -0.25, 0.0], np.float32)
    nodes += [
        helper.make_node("Concat", features, ["features"], axis=1),
        helper.make_node("MatMul", ["features", "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", len(CLASSES)])]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, initializers)
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=10, producer_name="dermedge tests")
    describe_as(model, tiny_spec(image=image, clinical=clinical))
    onnx.checker.check_model(model, full_check=True)
    return model


def _add_image(
    inputs: list[onnx.ValueInfoProto], nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]
) -> None:
    inputs.append(helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIZE, SIZE, 3]))
    ramp = np.arange(1, SIZE * SIZE + 1, dtype=np.float32).reshape(SIZE, SIZE, 1) / (255 * SIZE * SIZE)
    constants["ramp"] = np.repeat(ramp, 3, axis=2)
    constants["height_width"] = np.array([1, 2], np.int64)
    nodes += [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels", "ramp"], ["placed"]),
        helper.make_node("ReduceMean", ["placed", "height_width"], ["colour"], keepdims=0),
    ]


def _add_clinical(
    inputs: list[onnx.ValueInfoProto], nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray]
) -> None:
    inputs.append(helper.make_tensor_value_info("numeric", TensorProto.FLOAT, ["batch", 1]))
    inputs.append(helper.make_tensor_value_info("categorical", TensorProto.INT32, ["batch", 2]))
    constants["mean_age"] = np.array([[50]], np.float32)
    constants["spread"] = np.array([[20]], np.float32)
    nodes += [
        helper.make_node("IsNaN", ["numeric"], ["no_age"]),
        helper.make_node("Where", ["no_age", "mean_age", "numeric"], ["known_age"]),
        helper.make_node("Sub", ["known_age", "mean_age"], ["centred"]),
        helper.make_node("Div", ["centred", "spread"], ["age"]),
    ]
    for column, field in enumerate((SEX, SITE)):
        # Unknown (-1) equals no word: its features are all zero.
        constants[f"{field.name}_column"] = np.array([column], np.int64)
        constants[f"{field.name}_words"] = np.arange(len(field.vocabulary), dtype=np.int32)[None]
        nodes += [
            helper.make_node("Gather", ["categorical", f"{field.name}_column"], [f"{field.name}_index"], axis=1),
            helper.make_node("Equal", [f"{field.name}_index", f"{field.name}_words"], [f"{field.name}_is"]),
            helper.make_node("Cast", [f"{field.name}_is"], [field.name], to=TensorProto.FLOAT),
        ]


if __name__ == "__main__":
    TINY.parent.mkdir(exist_ok=True)
    TINY.write_bytes(sealed(build().SerializeToString(deterministic=True), TINY.name))
