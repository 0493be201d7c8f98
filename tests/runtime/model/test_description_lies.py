"""Whatever a description says, a file works or is refused as a whole: no other error at opening, asking or printing."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_tiny_model import SIZE, build, tiny_spec, with_synonyms
from onnx import helper

from dermedge_runtime import Classifier, ModelFileError, renew_digest
from dermedge_runtime.commands.inspection import inspection_record, inspection_text
from dermedge_runtime.decision import DecisionRule
from dermedge_runtime.model.description import ModelSpec
from dermedge_runtime.model.model_file import read_model_file

SPEC = replace(
    with_synonyms(tiny_spec()),
    weights_sha256="ab" * 32,
    training={"data": "none", "settings": {"seed": 3, "list": [{"a": 1}, {"a": 2}]}},
    metrics={"accuracy": 0.75, "intervals": [0.5, 0.9]},
)
RECORD: dict[str, Any] = json.loads(SPEC.to_json())
MODEL = build()
PICTURE = np.full((SIZE, SIZE, 3), 90, np.uint8)
DEEP = json.loads("[" * 400 + "]" * 400)
VALUES = {
    **{"none": None, "minus one": -1, "zero": 0, "huge": 10**30, "half": 0.5, "true": True, "text": "x", "empty": ""},
    **{"list": [], "of none": [None], "object": {}, "with none": {"a": None}, "nested": {"a": [{"b": [[]]}]}},
    **{"deep": DEEP, "long": "x" * 100_000, "mixed": [{"a": 1}, 3, None, "x"], "escape": "\x1b[2J", "lone": "\ud800"},
}


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*((path,) if path else ()), *(found for key, below in items for found in paths(below, (*path, key)))]


def changed(path: tuple[Any, ...], value: Any, spec: ModelSpec = SPEC) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(spec.to_json())
    holder: Any = record
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return record


def written(text: str, folder: Path) -> Path:
    helper.set_model_props(MODEL, {"dermedge": text})
    path = folder / "x.onnx"
    path.write_bytes(MODEL.SerializeToString())
    renew_digest(path)
    return path


def used(path: Path) -> bool:
    """Open a file, ask it and print what it says; False where it is refused when it is opened."""
    try:
        file, model = read_model_file(path), Classifier(path, "cpu")
    except ModelFileError as error:
        assert "x.onnx" in str(error) and "\n" not in str(error) and len(str(error)) < 1000
        return False
    known = {field.name: None for field in model.spec.clinical.fields}
    json.dumps(model.predict(PICTURE, **known).to_record(explain=True), allow_nan=False)
    record = inspection_record(file)
    json.dumps(record, allow_nan=False)
    inspection_text(record).encode()
    assert ModelSpec.from_json(file.spec.to_json(), "x.onnx") == file.spec
    return True


def test_the_description_itself_works(tmp_path: Path) -> None:
    assert used(written(json.dumps(RECORD), tmp_path))


@pytest.mark.parametrize("path", paths(RECORD), ids=lambda path: ".".join(map(str, path)))
def test_any_value_anywhere(tmp_path: Path, path: tuple[Any, ...]) -> None:
    outcomes = {name: used(written(json.dumps(changed(path, value)), tmp_path)) for name, value in VALUES.items()}
    assert not outcomes["deep"] and not outcomes["escape"] and not outcomes["lone"]


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "9" * 5000, "1" + "0" * 400])
@pytest.mark.parametrize("key", ["metrics", "training", "parity", "conversion"])
def test_numbers_that_are_none(tmp_path: Path, key: str, literal: str) -> None:
    text = json.dumps(changed((key,), {"value": "PLACE"})).replace('"PLACE"', literal)
    path = written(text, tmp_path)
    assert used(path) == (literal == "1" + "0" * 400)  # a whole number of 400 digits is one


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RECORD)[:-1] + ',"licence":"another"}',
        json.dumps(RECORD).replace('"accuracy": 0.75', '"accuracy": 0.75, "accuracy": 0.99'),
        json.dumps(RECORD).replace('"nv": "', '"nv": "first", "nv": "'),
    ],
)
def test_an_entry_that_stands_twice(tmp_path: Path, text: str) -> None:
    with pytest.raises(ModelFileError, match="stands there twice"):
        read_model_file(written(text, tmp_path))


AGE = RECORD["clinical"]["numeric"][0]
SEX = RECORD["clinical"]["categorical"][0]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("outputs",), [], "outputs must name probabilities"),
        (("outputs",), ["heatmap"], "outputs must name probabilities"),
        (("outputs",), ["probabilities", "probabilities"], "none twice"),
        (("outputs",), ["probabilities", "secrets"], "the output 'secrets' is unknown"),
        (("precision",), "fp8", "precision 'fp8' with flavour 'any' is unknown"),
        (("flavour",), "tpu", "flavour 'tpu' is unknown"),
        (("weights_sha256",), "abc", "weights_sha256 is no SHA-256"),
        (("class_names",), {"nv": "nevus"}, "class_names has no name for bcc, mel"),
        (("class_names", "mel"), " ", "class_names has no name for mel"),
        (("classes",), ["nv", " ", "mel"], "a class has no code"),
        (("classes",), ["nv", 3, "mel"], "classes lists something else than texts"),
        (("classes",), "nv mel", "classes is not a list"),
        (("features",), ["age"], "features are not those"),
        (("features",), [], "features are not those"),
        (("image", "size"), True, "size is not a whole number"),
        (("image", "size"), 16.0, "size is not a whole number"),
        (("image", "size"), "16", "size is not a whole number"),
        (("fusion",), None, "fusion is not a text"),
        (("schema_version",), True, "schema version True"),
        (("schema_version",), 1.0, "schema version 1.0"),
        (("clinical", "numeric", 0, "minimum"), "0", "minimum is not a number"),
        (("clinical", "numeric", 0, "minimum"), 120, "age has the impossible range 120 to 120"),
        (("clinical", "numeric", 0, "minimum"), 121, "age has the impossible range 121 to 120"),
        (("clinical", "numeric", 0, "maximum"), 1e39, "age has the impossible range 0 to 1e\\+39"),
        (("clinical", "numeric", 0, "minimum"), -1e300, "impossible range"),
        (("clinical", "numeric", 0, "name"), "", "clinical fields must be different and not empty"),
        (("clinical", "numeric", 0, "name"), "a=b", "has an equals sign"),
        (("clinical", "numeric", 0, "name"), "Sex", "clinical fields must be different"),
        (("clinical", "categorical", 0, "vocabulary"), [], "the vocabulary of sex is empty"),
        (("clinical", "categorical", 0, "vocabulary"), ["female", ""], "words of sex must be different and not empty"),
        (("clinical", "categorical", 0, "vocabulary"), ["female", "  "], "words of sex must be different"),
        (("clinical", "categorical", 0, "vocabulary"), ["male", "Male "], "words of sex must be different"),
        (("clinical", "categorical", 1, "vocabulary"), ["lower_leg", "Lower leg", "x"], "words of site"),
        (("clinical", "categorical"), [SEX, SEX], "clinical fields must be different"),
        (("clinical", "categorical"), {"sex": SEX}, "categorical is not a list"),
        (("clinical", "categorical"), ["sex"], "categorical lists something else than objects"),
        (("clinical", "numeric", 0, "synonyms"), ["85+"], "synonyms is not an object"),
        (("clinical", "numeric", 0, "synonyms"), {"85+": "85"}, "85\\+ is not a number"),
        (("clinical", "numeric", 0, "synonyms"), {"85+": True}, "85\\+ is not a number"),
        (("clinical", "numeric", 0, "synonyms"), {"85+": 121}, "age has the synonym '85\\+' of 121.0, which is out of"),
        (("clinical", "numeric", 0, "synonyms"), {"1e2": 85}, "age has the synonym '1e2', which is a number itself"),
        (("clinical", "numeric", 0, "synonyms"), {"Unknown": 85}, "'Unknown', which has a meaning already"),
        (("clinical", "numeric", 0, "synonyms"), {"old_age": 85, "Old age": 90}, "'Old age', which has a meaning"),
        (("clinical", "categorical", 1, "synonyms"), {"Kopf": 1}, "Kopf is not a text"),
        (
            ("clinical", "categorical", 1, "synonyms"),
            {"Kopf": "head"},
            "site has the synonym 'Kopf' of 'head', which is",
        ),
        (("clinical", "categorical", 1, "synonyms"), {"Kopf": "Face"}, "'Face', which is not in its vocabulary"),
        (
            ("clinical", "categorical", 1, "synonyms"),
            {"BACK": "face"},
            "site has the synonym 'BACK', which has a meaning",
        ),
        (("conversion",), {"weight_bits": True}, "conversion names weights of True bits"),
        (("conversion",), {"weight_bits": -1}, "conversion names weights of -1 bits"),
        (("conversion",), {"weight_bits": "7"}, "conversion names weights of 7 bits"),
        (("licence",), "a\x07b", "characters that are not for printing"),
        (("class_names", "nv"), "\u202eabc", "characters that are not for printing"),
    ],
)
def test_a_lie(tmp_path: Path, path: tuple[Any, ...], value: Any, message: str) -> None:
    plain = replace(SPEC, clinical=tiny_spec().clinical)  # synonyms that fit no more would be told first
    record = changed(path, value, SPEC if path[-1] == "synonyms" else plain)
    if path[0] == "clinical":
        del record["features"]
    with pytest.raises(ModelFileError, match=message) as caught:
        read_model_file(written(json.dumps(record), tmp_path))
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("image", "clinical", "outputs"),
    [
        (False, True, ["probabilities", "heatmap"]),
        (True, False, ["probabilities", "relevance"]),
        (True, False, ["probabilities", "attribution"]),
    ],
)
def test_explanations_of_what_is_not_read(image: bool, clinical: bool, outputs: list[str]) -> None:
    spec = replace(tiny_spec(image=image, clinical=clinical), outputs=tuple(outputs))
    with pytest.raises(ModelFileError, match=f"the output '{outputs[1]}' is of a network that reads"):
        ModelSpec.from_json(spec.to_json(), "x.onnx")


def test_more_names_than_classes_and_unicode_are_fine(tmp_path: Path) -> None:
    names = {**RECORD["class_names"], "df": "dermatofibroma", "nv": "nævus, 母斑"}
    assert used(written(json.dumps(changed(("class_names",), names)), tmp_path))


def test_whole_numbers_as_limits_are_fine(tmp_path: Path) -> None:
    record = changed(("clinical", "numeric", 0), {**AGE, "minimum": -5, "maximum": 200})
    assert read_model_file(written(json.dumps(record), tmp_path)).spec.clinical.numeric[0].minimum == -5.0


DECIDED = replace(
    SPEC,
    calibration={"scaling": {"method": "temperature", "temperature": 1.5}},
    decision=DecisionRule(
        set_thresholds={"nv": 0.2, "bcc": 0.1, "mel": 0.05},
        coverage=0.9,
        marginal=("bcc",),
        urgent=("mel", "bcc"),
        urgent_threshold=0.3,
        melanoma="mel",
        melanoma_threshold=0.1,
        sensitivity=0.95,
    ),
)
RULE = json.loads(DECIDED.to_json())["decision"]


@pytest.mark.parametrize("path", [("calibration",), *paths({"decision": RULE})], ids=lambda path: ".".join(path[:2]))
def test_any_value_in_a_decision(tmp_path: Path, path: tuple[Any, ...]) -> None:
    assert used(written(DECIDED.to_json(), tmp_path))
    outcomes = {
        name: used(written(json.dumps(changed(path, value, DECIDED)), tmp_path)) for name, value in VALUES.items()
    }
    assert not any(outcomes[name] for name in ("deep", "escape", "lone", "true", "text", "minus one", "huge"))


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e400", "-1e400", "1" + "0" * 400])
@pytest.mark.parametrize("key", ["urgent_threshold", "melanoma_threshold", "coverage", "sensitivity"])
def test_thresholds_that_are_none(tmp_path: Path, key: str, literal: str) -> None:
    text = json.dumps(changed(("decision", key), "PLACE", DECIDED)).replace('"PLACE"', literal)
    assert not used(written(text, tmp_path))


@pytest.mark.parametrize("key", list(RULE))
def test_a_decision_that_lacks_something(tmp_path: Path, key: str) -> None:
    rule = {name: value for name, value in RULE.items() if name != key}
    with pytest.raises(ModelFileError, match=f"missing '{key}'"):
        read_model_file(written(json.dumps(changed(("decision",), rule, DECIDED)), tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"urgent": ["mel", "mel"]}, "a class stands twice in the decision"),  # its probability would be summed twice
        ({"marginal": ["bcc"] * 10_000}, "a class stands twice"),
        ({"urgent": ["bcc"]}, "a threshold for mel, which it does not call urgent"),
        ({"urgent": [], "sensitivity": 0}, "a threshold for mel, which it does not call urgent"),
        ({"urgent": []}, "which it does not call urgent"),
        ({"melanoma": None, "urgent": []}, "coverage and sensitivity of the decision make no sense"),
        ({"sensitivity": 0}, "coverage and sensitivity"),
        ({"sensitivity": 1}, "coverage and sensitivity"),
        ({"coverage": 0}, "coverage and sensitivity"),
        ({"urgent": ["mel", "scc"]}, "the classes of the decision are not those of the model"),
        ({"melanoma": "MEL"}, "the classes of the decision"),
        ({"set_thresholds": {**RULE["set_thresholds"], "scc": 0.1}}, "the classes of the decision"),
        ({"set_thresholds": {"nv": 0.2, "mel": 0.1}}, "the classes of the decision"),
        ({"set_thresholds": {**RULE["set_thresholds"], "nv": -0.0001}}, "outside 0 to 1"),
        ({"urgent_threshold": 1.0001}, "outside 0 to 1"),
        ({"age_limit": 70}, "the entry 'age_limit' of the decision is unknown"),
    ],
)
def test_a_decision_that_lies(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    record = changed(("decision",), RULE | changes, DECIDED)
    with pytest.raises(ModelFileError, match=message):
        read_model_file(written(json.dumps(record), tmp_path))
