"""What a model makes of unknown values: its features, its description, and the names in its explanations."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from make_tiny_model import TINY, tiny_spec

from dermedge_runtime import Classifier
from dermedge_runtime.commands.infer_report import html_report
from dermedge_runtime.commands.prediction_text import explanation_text, prediction_text
from dermedge_runtime.errors import InputRejected, ModelFileError
from dermedge_runtime.explanation import Explanation, counted_as, name_imputed
from dermedge_runtime.inputs.clinical import CATEGORY, CategoricalField, ClinicalSchema, NumericField
from dermedge_runtime.inputs.patients import read_patient
from dermedge_runtime.model.description import ModelSpec

SCHEMA = ClinicalSchema(
    (NumericField("age", "years", 0.0, 120.0), NumericField("diameter", "mm", 0.0, 90.0)),
    (CategoricalField("sex", ("female", "male")), CategoricalField("itch", ("no", "Unknown", "yes"))),
)
IMPUTED = SCHEMA.with_imputed({"age": 50, "sex": "male", "itch": "no"})
BY_CATEGORY = replace(SCHEMA, unknown=CATEGORY)


def _changed(**clinical: object) -> str:
    record = json.loads(tiny_spec().to_json())
    record["clinical"] |= clinical
    return json.dumps(record)


def test_every_field_has_a_feature_for_unknown() -> None:
    assert BY_CATEGORY.features == (
        *("age", "diameter", "age=unknown", "diameter=unknown"),
        *("sex=female", "sex=male", "sex=unknown"),
        *("itch=no", "itch=Unknown", "itch=yes"),  # the vocabulary's own word serves
    )
    assert len(set(BY_CATEGORY.features)) == len(BY_CATEGORY.features)
    assert SCHEMA.features == ("age", "diameter", "sex=female", "sex=male", "itch=no", "itch=Unknown", "itch=yes")


@pytest.mark.parametrize("mode", ["", "Category", "mean"])
def test_another_mode_is_refused(mode: str) -> None:
    with pytest.raises(ValueError, match=rf"unknown is '{mode}', known are category, impute"):
        replace(SCHEMA, unknown=mode)


@pytest.mark.parametrize("schema", [SCHEMA, IMPUTED, BY_CATEGORY])
def test_the_description_carries_it(schema: ClinicalSchema) -> None:
    spec = replace(tiny_spec(), clinical=schema)
    again = ModelSpec.from_json(spec.to_json(), "x.onnx")
    assert again.clinical == schema
    assert again.to_json() == spec.to_json()
    assert json.loads(spec.to_json())["features"] == list(schema.features)


def test_earlier_descriptions_impute_with_values_that_they_do_not_name() -> None:
    record = json.loads(tiny_spec().to_json())
    del record["clinical"]["unknown"]
    assert all("imputed" not in f for f in (*record["clinical"]["numeric"], *record["clinical"]["categorical"]))
    clinical = ModelSpec.from_json(json.dumps(record), "old.onnx").clinical
    assert clinical == tiny_spec().clinical
    assert (clinical.unknown, {field.imputed for field in clinical.fields}) == ("impute", {None})


@pytest.mark.parametrize(
    "clinical",
    [
        {"unknown": "sometimes"},
        {"unknown": None},
        {"categorical": [{"name": "sex", "vocabulary": ["female", "male"], "imputed": "back"}]},
        {"categorical": [{"name": "sex", "vocabulary": ["female", "male"], "imputed": 1}]},
        {"numeric": [{"name": "age", "unit": "years", "minimum": 0, "maximum": 120, "imputed": "old"}]},
        {"numeric": [{"name": "age", "unit": "years", "minimum": 0, "maximum": 120, "imputed": math.nan}]},
        {"numeric": [{"name": "age", "unit": "years", "minimum": 0, "maximum": 120, "imputed": [5]}]},
    ],
)
def test_a_description_that_lies_is_one_sentence(clinical: dict) -> None:
    with pytest.raises(ModelFileError, match=r"^lies\.onnx: its dermedge description is damaged \(.*\)\. Export it"):
        ModelSpec.from_json(_changed(**clinical), "lies.onnx")


def test_imputed_values_are_those_of_the_schema() -> None:
    with pytest.raises(InputRejected, match="no clinical field 'site'"):
        SCHEMA.with_imputed({"site": "back"})
    for wrong in ({"sex": "back"}, {"age": math.inf}, {"age": "old"}):
        with pytest.raises(ValueError, match=r"back|inf|old"):
            SCHEMA.with_imputed(wrong)
    assert IMPUTED.with_imputed({"sex": "female"}).categorical[0].imputed == "female"
    assert IMPUTED.with_imputed({}) == IMPUTED


@pytest.mark.parametrize(
    ("patient", "expected"),
    [
        ({"age": 30, "diameter": 3, "sex": "female", "itch": "yes"}, {}),
        ({"age": 30, "diameter": 3, "itch": "unknown"}, {"sex": "male"}),  # `unknown` is a word of this vocabulary
        ({"sex": "NA", "itch": ""}, {"age": 50.0, "diameter": 4.0, "sex": "male", "itch": "no"}),
    ],
)
def test_only_unknown_fields_are_imputed(patient: dict, expected: dict) -> None:
    unknown = read_patient(IMPUTED, patient).unknown
    schema = IMPUTED.with_imputed({"diameter": 4})
    assert schema.imputed(unknown) == expected
    assert replace(schema, unknown=CATEGORY).imputed(unknown) == {}
    assert set(SCHEMA.imputed(unknown).values()) <= {None}


def test_no_feature_of_an_unknown_field_keeps_the_name_of_a_value() -> None:
    values = {"age": 0.5, "sex=female": 0.0, "sex=male": 0.77, "itch=no": 0.1, "itch=Unknown": 0.0, "itch=yes": 0.0}
    named = name_imputed(values, {"age": 50.0, "sex": "male"})
    assert named == {
        "age=unknown (counted as 50)": 0.5,
        "sex=unknown (counted as male)": 0.77,
        **{key: values[key] for key in ("itch=no", "itch=Unknown", "itch=yes")},
    }
    assert name_imputed(values, {}) == values
    assert counted_as(None) == "unknown (counted as a value of its training data)"
    assert counted_as(37.5) == "unknown (counted as 37.5)"


def _explained(imputed: dict) -> Explanation:
    relevance = name_imputed({"age": 1.0, "sex=female": 0.0, "sex=male": 0.75}, imputed)
    return Explanation("mel", None, relevance, relevance, imputed)


def test_text_and_json_say_what_was_counted() -> None:
    explanation = _explained({"sex": "male"})
    text = explanation_text(explanation)
    assert "sex=unknown (counted as male)  0.75" in text
    assert "(sum per field: age 1.00, sex (unknown) 0.75)" in text
    assert "sex=male" not in text
    record = json.loads(json.dumps(explanation.to_record()))
    assert record["imputed"] == {"sex": "male"}
    assert record["relevance"] == record["attribution"] == {"age": 1.0, "sex=unknown (counted as male)": 0.75}
    assert record["relevance_by_field"] == {"age": 1.0, "sex": 0.75}
    given = _explained({})
    assert "sex=male" in explanation_text(given) and given.to_record()["imputed"] == {}


@pytest.mark.parametrize("many", [False, True])
def test_every_prediction_says_what_was_counted(many: bool) -> None:
    classifier = Classifier(TINY, "cpu")
    spec, picture = classifier.spec, np.zeros((20, 20, 3), np.uint8)

    def predicted(**patient: object):
        if many:
            return classifier.predict_many([picture, picture], [{"age": 1, "sex": "male", "site": "back"}, patient])[1]
        return classifier.predict(picture, **patient)

    classifier.spec = replace(spec, clinical=spec.clinical.with_imputed({"age": 50, "sex": "male"}))
    found = predicted(site="back")
    assert found.imputed == found.to_record()["imputed"] == {"age": 50.0, "sex": "male"}
    assert found.to_record()["unknown"] == ["age", "sex"]
    line = "given: site back; age unknown (counted as 50); sex unknown (counted as male)"
    assert line in prediction_text(found, classifier.spec)
    assert predicted(site="back", age=3, sex="female").imputed == {}
    assert predicted(age=3, sex="female").imputed == {"site": None}
    unnamed = prediction_text(predicted(age=3), classifier.spec)
    assert "given: age 3; sex unknown (counted as male); unknown: site (counted as a value of its training" in unnamed
    classifier.spec = replace(spec, clinical=replace(spec.clinical, unknown=CATEGORY))
    assert predicted().imputed == {}
    assert "counted" not in prediction_text(predicted(), classifier.spec)


@pytest.mark.parametrize("mode", ["impute", CATEGORY])
def test_the_report_says_what_was_counted(mode: str) -> None:
    spec = tiny_spec()
    clinical = replace(spec.clinical.with_imputed({"age": 50, "sex": "male"}), unknown=mode)
    spec, imputed = replace(spec, clinical=clinical), clinical.imputed(["sex"])
    values = dict.fromkeys(clinical.features, 0.0) | {"age": 1.0, "sex=male" if imputed else "sex=unknown": 0.77}
    named = name_imputed(values, imputed)
    found = Classifier(TINY, "cpu").predict(np.zeros((20, 20, 3), np.uint8), age=30, site="back")
    found = replace(found, explanation=Explanation("mel", None, named, named, imputed), imputed=imputed)
    page = html_report(found, spec)
    cell = "unknown (counted as male)" if imputed else "unknown"
    assert f'<tr><td>sex</td><td class="unknown">{cell}</td>' in page
    assert "+0.770" in page and "sex=male" not in page
