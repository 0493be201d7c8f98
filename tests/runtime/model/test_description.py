"""The description in a model file survives a round trip; a damaged one is an error that names the file."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_tiny_model import tiny_spec, with_synonyms

from dermedge_runtime import ModelFileError
from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalSchema, NumericField
from dermedge_runtime.model.description import ImageSpec, ModelSpec

SPEC = replace(
    with_synonyms(tiny_spec()),
    flavour="cpu",
    weights_sha256="ab" * 32,
    training={"protocol": "lesion-disjoint", "seed": 3, "nested": {"list": [1, 2.5, None, "ü"]}},
    metrics={"accuracy": 0.75},
    conversion={"float32_layers": ["stages.3.conv2"]},
)


def steps(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the path to every value of a JSON record."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*((path,) if path else ()), *(found for key, below in items for found in steps(below, (*path, key)))]


RECORD = json.loads(SPEC.to_json())
PATHS = steps(RECORD)
REQUIRED = sorted(set(RECORD) - {"features", "conversion"})


def damaged(path: tuple[Any, ...], **new: Any) -> str:
    """Give the description with one value removed, or replaced by `value`."""
    record = json.loads(SPEC.to_json())
    holder = record
    for key in path[:-1]:
        holder = holder[key]
    if new:
        holder[path[-1]] = new["value"]
    else:
        del holder[path[-1]]
    return json.dumps(record)


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        replace(SPEC, image=ImageSpec(16, "bilinear", detail=1)),
        tiny_spec(image=False),
        tiny_spec(clinical=False),
        replace(SPEC, clinical=ClinicalSchema((NumericField("a", "mm", 0.5, 1.5), NumericField("b", "", 0.0, 1.0)))),
        replace(SPEC, clinical=ClinicalSchema((), (CategoricalField("c", ("x",)),)), image=ImageSpec(4096, "lanczos")),
    ],
    ids=["all", "detail", "no image", "no clinical", "numeric", "categorical"],
)
def test_round_trip(spec: ModelSpec) -> None:
    again = ModelSpec.from_json(spec.to_json(), "tiny.onnx")
    assert again == spec
    assert again.to_json() == spec.to_json()


def test_synonyms_travel_and_files_without_them_are_read() -> None:
    numeric, categorical = RECORD["clinical"]["numeric"], RECORD["clinical"]["categorical"]
    assert numeric[0]["synonyms"] == {"85+": 85.0} and categorical[1]["synonyms"] == {"Gesicht": "face"}
    assert "synonyms" not in categorical[0], "a field without any: as in files from before"
    fields = ModelSpec.from_json(SPEC.to_json(), "x.onnx").clinical.fields
    assert [dict(field.synonyms) for field in fields] == [{"85+": 85.0}, {}, {"Gesicht": "face"}]
    bare = ModelSpec.from_json(tiny_spec().to_json(), "x.onnx").clinical.fields
    assert all(field.synonyms == {} for field in bare)


def test_json_is_canonical() -> None:
    text = SPEC.to_json()
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))
    assert text.isascii()
    turned = replace(SPEC, training=dict(reversed(SPEC.training.items())))
    assert turned.to_json() == text


def test_json_carries_its_version_and_the_feature_names() -> None:
    assert RECORD["schema_version"] == 1
    assert RECORD["features"] == [
        *("age", "sex=female", "sex=male"),
        *("site=back", "site=face", "site=lower extremity"),
    ]


def test_nan_in_a_report_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        replace(SPEC, metrics={"accuracy": float("nan")}).to_json()


def test_the_steps_of_the_relevance_are_told_where_there_are_any() -> None:
    assert "detail" not in RECORD["image"], "one of before"
    assert "ig_steps" not in RECORD, "a file that does not say: one of before, or one without relevance"
    told = replace(SPEC, outputs=("probabilities", "relevance", "attribution"), ig_steps=16)
    assert ModelSpec.from_json(told.to_json(), "x.onnx") == told
    for value in (0, -3, 1.5, "16", True, None):
        record = json.dumps(json.loads(told.to_json()) | {"ig_steps": value})
        with pytest.raises(ModelFileError, match="damaged"):
            ModelSpec.from_json(record, "x.onnx")
    with pytest.raises(ModelFileError, match="16 steps of integrated gradients with the outputs probabilities"):
        ModelSpec.from_json(json.dumps(json.loads(told.to_json()) | {"outputs": ["probabilities"]}), "x.onnx")


def test_files_from_before_the_conversion_record_are_read() -> None:
    assert ModelSpec.from_json(damaged(("conversion",)), "x.onnx") == replace(SPEC, conversion={})


@pytest.mark.parametrize("key", REQUIRED)
def test_a_missing_entry(key: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        ModelSpec.from_json(damaged((key,)), "x.onnx")
    expected = "schema version None" if key == "schema_version" else f"damaged (missing '{key}')"
    assert expected in str(caught.value)
    assert str(caught.value).startswith("x.onnx: its ")
    assert "Export" in str(caught.value)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_schema_version(version: object) -> None:
    with pytest.raises(ModelFileError, match=rf"^x\.onnx: .*schema version {version}, this dermedge reads 1\."):
        ModelSpec.from_json(damaged(("schema_version",), value=version), "x.onnx")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("image", "size"), 0, "image spec 0 bilinear RGB is not supported"),
        (("image", "size"), 4097, "image spec 4097"),
        (("image", "size"), -16, "image spec -16"),
        (("image", "size"), float("inf"), ""),
        (("image", "size"), float("nan"), ""),
        (("image", "size"), "large", ""),
        (("image", "resample"), "hamming", "16 hamming RGB"),
        (("image", "color"), "BGR", "16 bilinear BGR"),
        (("image", "detail"), 3, "image detail 3 is not supported"),
        (("image", "detail"), "1", ""),
        (("image",), [], ""),
        (("classes",), [], r"classes must be two or more different codes, found \[\]"),
        (("classes",), ["nv"], "two or more"),
        (("classes",), ["nv", "mel", "nv"], "different codes"),
        (("classes",), None, ""),
        (("class_names",), [], ""),
        (("clinical",), None, ""),
        (("clinical", "numeric"), None, ""),
        (("clinical", "numeric", 0, "minimum"), "young", ""),
        pytest.param(("clinical", "numeric", 0, "maximum"), 10**400, "", id="huge"),
        (("clinical", "categorical", 0, "vocabulary"), 3, ""),
        (("versions",), [], ""),
    ],
)
def test_a_value_that_makes_no_sense(path: tuple[Any, ...], value: object, message: str) -> None:
    with pytest.raises(
        ModelFileError, match=rf"^x\.onnx: its dermedge description is damaged \(.*{message}.*Export it again"
    ):
        ModelSpec.from_json(damaged(path, value=value), "x.onnx")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"text"', "3", SPEC.to_json()[:-1], "[" * 100_000, "{" * 100_000]
)
def test_no_json_object(text: str) -> None:
    with pytest.raises(ModelFileError, match=r"^x\.onnx: its dermedge description is damaged \("):
        ModelSpec.from_json(text, "x.onnx")


def test_a_model_that_reads_nothing() -> None:
    record = RECORD | {"image": None, "clinical": {"numeric": [], "categorical": []}}
    with pytest.raises(ModelFileError, match="reads neither an image nor a clinical field"):
        ModelSpec.from_json(json.dumps(record), "x.onnx")


JSON_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from([float("inf"), 10**400, 1e308]),
    st.text(max_size=5),
    st.lists(st.none() | st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.none() | st.integers(), max_size=2),
)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(path=st.sampled_from(PATHS), value=JSON_VALUES)
def test_any_other_value_is_read_or_a_model_file_error(path: tuple[Any, ...], value: object) -> None:
    try:
        spec = ModelSpec.from_json(damaged(path, value=value), "x.onnx")
    except ModelFileError:
        return
    assert len(spec.classes) >= 2


@pytest.mark.parametrize("path", PATHS, ids=lambda path: ".".join(map(str, path)))
def test_any_missing_value_is_read_or_a_model_file_error(path: tuple[Any, ...]) -> None:
    try:
        spec = ModelSpec.from_json(damaged(path), "x.onnx")
    except ModelFileError as error:
        assert str(error).startswith("x.onnx: ")
        return
    assert len(spec.classes) >= 2
