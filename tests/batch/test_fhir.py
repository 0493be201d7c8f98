"""FHIR reports: valid R4B by a validator that can refuse, the same for the same answer, nothing that was not told."""

import copy
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermedge.batch.fhir import _DIAGNOSES, fhir_report, write_fhir
from dermedge_runtime import Classifier, UsageError, model_in_the_box
from dermedge_runtime.prediction import Prediction

diagnosticreport = pytest.importorskip("fhir.resources.R4B.diagnosticreport")
SHA256 = "ab" * 32


@pytest.fixture(scope="module")
def answer() -> Prediction:
    picture = Path("docs", "pictures", "lesion.jpg")
    return Classifier(model_in_the_box(), device="cpu").predict(picture, age=55, sex="male")


def valid(report: dict[str, Any]) -> Any:
    """Check it as the JSON text that it becomes."""
    return diagnosticreport.DiagnosticReport.model_validate_json(json.dumps(report))


def by_id(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (resource for resource in report["contained"] if resource["id"] == name)
    return found


def test_it_is_valid(answer: Prediction) -> None:
    report = fhir_report(answer, picture="sub/a b.jpg", subject="P-17", picture_sha256=SHA256)
    parsed = valid(report)
    assert parsed.status == "preliminary"
    assert report["subject"] == {"type": "Patient", "identifier": {"value": "P-17"}}
    assert report["issued"] == answer.time
    ids = [resource["id"] for resource in report["contained"]]
    assert ids == ["model", "picture", "prediction", "decision", "prediction-set", "familiarity", "given"]
    assert [result["reference"] for result in report["result"]] == [f"#{name}" for name in ids[2:]]
    for name in ids[2:]:
        observation = by_id(report, name)
        assert (observation["status"], observation["subject"]) == ("preliminary", report["subject"])
        assert observation["note"][-1] == {"text": answer.notice}
    assert by_id(report, "picture")["content"] == {"url": "sub/a%20b.jpg", "title": "a b.jpg"}
    assert by_id(report, "picture")["identifier"][0]["value"] == SHA256


@pytest.mark.parametrize(
    "change",
    [
        lambda report: report.pop("code"),
        lambda report: report.pop("status"),
        lambda report: report.update(issued="yesterday"),
        lambda report: report.update(verdict="refer"),
        lambda report: report["contained"][2].pop("code"),
        lambda report: report["contained"][2].pop("status"),
        lambda report: report["contained"][2].update(valueString="a second value"),
        lambda report: report["contained"][1].pop("content"),
        lambda report: report["contained"][0]["deviceName"][0].pop("type"),
        lambda report: report["media"][0].pop("link"),
    ],
)
def test_the_validator_refuses(answer: Prediction, change: Any) -> None:
    report = copy.deepcopy(fhir_report(answer, picture="a.jpg"))
    valid(report)
    change(report)
    with pytest.raises(ValueError, match="validation error"):
        valid(report)


def test_what_it_says(answer: Prediction) -> None:
    report = fhir_report(answer, picture="a.jpg")
    prediction = by_id(report, "prediction")
    values = [component["valueQuantity"]["value"] for component in prediction["component"]]
    assert values == list(answer.probabilities.values())
    assert [component["code"]["text"] for component in prediction["component"]][-1] == "Probability: vascular lesion"
    assert prediction["valueCodeableConcept"]["text"] == answer.label_name
    decision = by_id(report, "decision")
    assert decision["valueCodeableConcept"] == {"text": answer.decision}
    told = [note["text"].lower().rstrip(".") for note in decision["note"][:-1]]
    assert told == [reason.lower() for reason in answer.reasons]
    ruled_in = [part["valueCodeableConcept"]["text"] for part in by_id(report, "prediction-set")["component"]]
    assert ruled_in == [answer.class_names[code] for code in answer.prediction_set]
    assert by_id(report, "familiarity")["valueQuantity"]["value"] == answer.ood_score
    assert by_id(report, "given")["component"] == [
        {"code": {"text": "age"}, "valueQuantity": {"value": 55.0}},
        {"code": {"text": "sex"}, "valueString": "male"},
        {
            "code": {"text": "site"},
            "dataAbsentReason": {
                "coding": [
                    {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"},
                ]
            },
        },
    ]
    model = by_id(report, "model")
    assert model["identifier"][0]["value"] == answer.model_sha256
    assert {version["type"]["text"]: version["value"] for version in model["version"]} == dict(answer.versions)
    assert report["conclusion"].startswith(f"Most probable: {answer.label_name} (")
    assert report["conclusion"].endswith("Research use only. Not a medical device, not for diagnosis.")
    assert "subject" not in json.dumps(report)


def test_codes_only_where_one_concept_is_the_class(answer: Prediction) -> None:
    everything = replace(answer, prediction_set=tuple(answer.probabilities))
    report = fhir_report(everything, picture="a.jpg")
    valid(report)
    found = {
        part["valueCodeableConcept"]["text"]: [code["code"] for code in part["valueCodeableConcept"].get("coding", [])]
        for part in by_id(report, "prediction-set")["component"]
    }
    assert found == {
        "actinic keratosis / Bowen's disease": [],
        "basal cell carcinoma": ["254701007"],
        "benign keratosis": [],
        "dermatofibroma": [],
        "melanoma": ["93655004"],
        "melanocytic nevus": ["400096001"],
        "vascular lesion": [],
    }


def test_codes_have_their_check_digit() -> None:
    """Of Verhoeff, as every SNOMED CT code: a code that was mistyped has none."""
    from dermedge.batch.dicom.sites import _table

    multiply = [[(a + b) % 5 if a < 5 and b < 5 else 0 for b in range(10)] for a in range(10)]
    for a in range(10):
        for b in range(10):
            turn, mirrored = a % 5, a >= 5
            step = (turn - b if mirrored else turn + b) % 5
            multiply[a][b] = step + 5 * (mirrored != (b >= 5))
    permute = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4]

    def is_sound(code: str) -> bool:
        check = 0
        for place, digit in enumerate(map(int, reversed(code))):
            for _ in range(place % 8):
                digit = permute[digit]
            check = multiply[check][digit]
        return check == 0

    codes = [code for code, _ in _DIAGNOSES.values()]
    codes += [code for scheme, code in _table().by_code if scheme == "SCT"]
    assert len(codes) > 150
    assert [code for code in codes if not is_sound(code)] == []
    assert not is_sound("396233003")


def test_the_same_answer_gives_the_same_file(answer: Prediction, tmp_path: Path) -> None:
    first = fhir_report(answer, picture="a.jpg", picture_sha256=SHA256)
    again = fhir_report(replace(answer), picture="a.jpg", picture_sha256=SHA256)
    one, two = (write_fhir(tmp_path / name, "a.jpg", report) for name, report in (("x", first), ("y", again)))
    assert one.read_bytes() == two.read_bytes()
    ids = {
        first["id"],
        fhir_report(answer, picture="b.jpg", picture_sha256=SHA256)["id"],
        fhir_report(answer, picture="a.jpg", picture_sha256="cd" * 32)["id"],
        fhir_report(answer, picture="a.jpg", picture_sha256=SHA256, frame=2)["id"],
        fhir_report(replace(answer, model_sha256="ef" * 32), picture="a.jpg", picture_sha256=SHA256)["id"],
        fhir_report(replace(answer, given={"age": 56.0}), picture="a.jpg", picture_sha256=SHA256)["id"],
    }
    assert len(ids) == 6
    later = fhir_report(answer, picture="a.jpg", picture_sha256=SHA256, issued="2030-01-01T00:00:00Z")
    assert (later["id"], later["issued"]) == (first["id"], "2030-01-01T00:00:00Z")
    assert valid(later)


def test_a_file_without_calibration_and_clinical_values(answer: Prediction) -> None:
    bare = replace(
        answer, decision=None, reasons=(), prediction_set=None, ood_score=None, lesion_ood_score=None, given={},
        unknown=(), notice="", model_sha256="", versions={}, class_names={},
    )  # fmt: skip
    report = fhir_report(bare, picture="a.jpg")
    valid(report)
    assert [resource["id"] for resource in report["contained"]] == ["model", "picture", "prediction"]
    assert by_id(report, "prediction")["valueCodeableConcept"] == {"text": answer.label}
    assert report["conclusion"].endswith("Research use only. Not a medical device, not for diagnosis.")


def test_a_score_that_is_no_number(answer: Prediction, tmp_path: Path) -> None:
    report = fhir_report(replace(answer, ood_score=float("inf")), picture="a.jpg")
    valid(report)
    assert by_id(report, "familiarity")["dataAbsentReason"]["coding"][0]["code"] == "error"
    write_fhir(tmp_path, "a.jpg", report)


def test_faults_of_the_picture(answer: Prediction) -> None:
    report = fhir_report(replace(answer, picture_faults=("the picture is far too dark",)), picture="a.jpg")
    valid(report)
    assert by_id(report, "prediction")["note"][0] == {"text": "The picture is far too dark."}
    assert "The picture is far too dark." in report["conclusion"]


def test_odd_names(answer: Prediction, tmp_path: Path) -> None:
    name = os.fsdecode(b"sub/\xff\n<b>&amp;.jpg")
    report = fhir_report(replace(answer, class_names={answer.label: "<script>"}), picture=name)
    valid(report)
    assert by_id(report, "picture")["content"]["url"] == "sub/%FF%0A%3Cb%3E%26amp%3B.jpg"
    assert "\n" not in by_id(report, "picture")["content"]["title"]
    assert "<script>" not in report["text"]["div"]
    assert json.loads(write_fhir(tmp_path, "odd.jpg", report).read_text("utf-8")) == report


def test_of_an_absolute_path_only_the_name_is_told(answer: Prediction, tmp_path: Path) -> None:
    report = fhir_report(answer, picture=str(tmp_path / "a.jpg"))
    assert by_id(report, "picture")["content"]["url"] == "a.jpg"
    assert str(tmp_path) not in json.dumps(report)


def test_where_it_is_written(answer: Prediction, tmp_path: Path) -> None:
    report = fhir_report(answer, picture="sub/a.jpg")
    out = tmp_path / "out"
    assert write_fhir(out, os.path.join("sub", "a.jpg"), report) == out / "sub" / "a.jpg.fhir.json"
    assert write_fhir(out, "sub/a.dcm.frame-2", report) == out / "sub" / "a.dcm.frame-2.fhir.json"
    assert sorted(path.name for path in (out / "sub").iterdir()) == ["a.dcm.frame-2.fhir.json", "a.jpg.fhir.json"]
    for relative in ("../a.jpg", "sub/../../a.jpg", str(tmp_path / "a.jpg"), "", "."):
        with pytest.raises(UsageError, match="has no place below"):
            write_fhir(out, relative, report)
    assert not (tmp_path / "a.jpg.fhir.json").exists()
