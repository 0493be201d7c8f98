"""One answer as a FHIR R4B DiagnosticReport, with everything it speaks of contained in it, and where its file goes.

Its status is preliminary: nobody has looked at it. It holds what the model said and what it was given, and nothing else
of the patient. SNOMED CT codes stand only where one concept is the class; other classes have their names. The same
answer gives the same file, letter by letter.
"""

from __future__ import annotations

import hashlib
import html
import json
import math
import os
from collections.abc import Iterable
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeAlias
from urllib.parse import quote

from dermedge_runtime.decision import FAMILIAR
from dermedge_runtime.errors import UsageError
from dermedge_runtime.files.whole_or_absent import atomic_path
from dermedge_runtime.inputs.picture_source import printable
from dermedge_runtime.prediction import Prediction

Resource: TypeAlias = dict[str, Any]

_SNOMED, _UNITS = "http://snomed.info/sct", "http://unitsofmeasure.org"
_ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
_CATEGORY = {"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "IMG", "display": "Diagnostic Imaging"}
_DIAGNOSES = {
    "melanoma": ("93655004", "Malignant melanoma of skin"),
    "basal cell carcinoma": ("254701007", "Basal cell carcinoma of skin"),
    "melanocytic nevus": ("400096001", "Melanocytic nevus"),
    "actinic keratosis": ("201101007", "Actinic keratosis"),
}
"""SNOMED CT code and term, by the class's name; none for names that mean several diagnoses, as vascular lesion."""
_NOTICE = "Research use only. Not a medical device, not for diagnosis."
_VERDICTS = {
    "refer": "refer: an urgent diagnosis is likely enough",
    "unsure": "unsure: nobody should trust this answer",
    "routine": "routine",
}
ENDING = ".fhir.json"


def fhir_report(
    answer: Prediction,
    *,
    picture: str,
    subject: str | None = None,
    issued: str | None = None,
    picture_sha256: str | None = None,
    frame: int | None = None,
) -> Resource:
    """Make the report of one answer.

    :param picture: the picture's path below the folder that was asked about; of an absolute one only the name is told.
    :param subject: the patient's identifier, where the caller was given one; None: the report names no patient.
    :param issued: when the answer was made, as a FHIR instant; None: what the answer says.
    :param picture_sha256: of the picture's file, in hexadecimal.
    :param frame: which frame of the file, from 1; None: the file is one picture.
    :return: a JSON-ready resource; its id and everything else follow from the answer and from these values.
    """
    told = PurePath(picture).name if PurePath(picture).is_absolute() else PurePath(picture).as_posix()
    common: Resource = {"status": "preliminary", "issued": issued or answer.time}
    if subject:
        common["subject"] = {"type": "Patient", "identifier": {"value": subject}}
    notice = answer.notice or _NOTICE
    observations = [
        _observation(name, common | values, notice)
        for name, values in (
            ("prediction", _prediction(answer)),
            ("decision", _decision(answer)),
            ("prediction-set", _prediction_set(answer)),
            ("familiarity", _familiarity(answer)),
            ("given", _given(answer)),
        )
        if values
    ]
    conclusion = _conclusion(answer, notice)
    return {
        "resourceType": "DiagnosticReport",
        "id": _identity(answer, told, picture_sha256, frame),
        "text": {"status": "generated", "div": _narrative(conclusion)},
        "contained": [_device(answer), _media(told, picture_sha256, frame), *observations],
        **common,
        "category": [{"coding": [dict(_CATEGORY)]}],
        "code": {"text": "Classification of a skin lesion by a neural network"},
        "result": [{"reference": f"#{observation['id']}"} for observation in observations],
        "media": [{"comment": "The picture that was classified", "link": {"reference": "#picture"}}],
        "conclusion": conclusion,
    }


def write_fhir(folder: Path, relative: str, report: Resource) -> Path:
    """Write a report where its picture lies below another folder: sub/a.jpg becomes sub/a.jpg.fhir.json.

    :param folder: what it is written below; made where it is missing.
    :param relative: the picture's path below its own folder; of a frame, with its number, such as sub/a.dcm.frame-2.
    :return: the file that was written, whole.
    :raises UsageError: the path does not stay below the folder.
    :raises OSError: the file cannot be written.
    """
    path = PurePath(relative)
    if not path.name or path.is_absolute() or path.drive or ".." in path.parts:
        raise UsageError(f"The report of {printable(relative)} has no place below {folder}: give a path inside it.")
    target = folder / path.with_name(f"{path.name}{ENDING}")
    with atomic_path(target) as temporary:
        temporary.write_text(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return target


def _identity(answer: Prediction, picture: str, picture_sha256: str | None, frame: int | None) -> str:
    """Give the id: of file, model, what the model was given, and what it said."""
    parts = [picture_sha256, printable(picture), frame, answer.model_sha256, dict(answer.given), *answer.unknown]
    told = json.dumps([parts, dict(answer.probabilities)], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def _device(answer: Prediction) -> Resource:
    device: Resource = {
        "resourceType": "Device",
        "id": "model",
        "deviceName": [{"name": printable(answer.model), "type": "model-name"}],
        "type": {"text": "Neural network for pictures of skin lesions"},
        "note": [{"text": answer.notice or _NOTICE}],
    }
    if answer.model_sha256:
        device["identifier"] = [{"type": {"text": "SHA-256 of the model file"}, "value": answer.model_sha256}]
    if answer.versions:
        device["version"] = [{"type": {"text": name}, "value": value} for name, value in answer.versions.items()]
    return device


def _media(picture: str, sha256: str | None, frame: int | None) -> Resource:
    url = quote(os.fsencode(picture))
    title = printable(PurePosixPath(picture).name)
    media: Resource = {"resourceType": "Media", "id": "picture", "status": "completed"}
    if sha256:
        media["identifier"] = [{"type": {"text": "SHA-256 of the file"}, "value": sha256}]
    if frame is not None:
        media["note"] = [{"text": f"Frame {frame} of the file"}]
    return media | {"content": {"url": url, "title": title}}


def _observation(name: str, values: Resource, notice: str) -> Resource:
    notes = [*values.pop("note", []), {"text": notice}]
    return {
        "resourceType": "Observation",
        "id": name,
        **values,
        "device": {"reference": "#model"},
        "derivedFrom": [{"reference": "#picture"}],
        "note": notes,
    }


def _concept(answer: Prediction, code: str) -> Resource:
    name = answer.class_names.get(code) or code
    concept: Resource = {"text": name}
    if known := _DIAGNOSES.get(name.lower()):
        concept["coding"] = [{"system": _SNOMED, "code": known[0], "display": known[1]}]
    return concept


def _number(value: float) -> Resource:
    """Give a number without a unit, or say that it is none."""
    if math.isfinite(value):
        return {"valueQuantity": {"value": value, "system": _UNITS, "code": "1"}}
    return {"dataAbsentReason": {"coding": [{"system": _ABSENT, "code": "error"}]}}


def _prediction(answer: Prediction) -> Resource:
    return {
        "code": {"text": "Most probable class"},
        "valueCodeableConcept": _concept(answer, answer.label),
        "component": [
            {"code": {"text": f"Probability: {_concept(answer, code)['text']}"}, **_number(probability)}
            for code, probability in answer.probabilities.items()
        ],
        "note": [{"text": _sentence(fault)} for fault in answer.picture_faults],
    }


def _decision(answer: Prediction) -> Resource:
    if answer.decision is None:
        return {}
    return {
        "code": {"text": "What to do next"},
        "valueCodeableConcept": {"text": answer.decision},
        "note": [{"text": _sentence(reason)} for reason in answer.reasons],
    }


def _prediction_set(answer: Prediction) -> Resource:
    if answer.prediction_set is None:
        return {}
    label = {"text": "Diagnosis that cannot be ruled out"}
    return {
        "code": {"text": "Diagnoses that cannot be ruled out, the likeliest first"},
        "component": [
            {"code": dict(label), "valueCodeableConcept": _concept(answer, code)} for code in answer.prediction_set
        ],
    }


def _familiarity(answer: Prediction) -> Resource:
    if answer.ood_score is None:
        return {}
    limit = {"high": {"value": FAMILIAR}, "text": "Familiar: 95 % of the pictures of the validation are"}
    values: Resource = {
        "code": {"text": "How unlike the pictures of the training this one is"},
        **_number(answer.ood_score),
        "referenceRange": [limit],
    }
    if answer.lesion_ood_score is not None:
        values["component"] = [
            {
                "code": {"text": "The same for what the network makes of the lesion"},
                **_number(answer.lesion_ood_score),
                "referenceRange": [dict(limit)],
            }
        ]
    return values


def _given(answer: Prediction) -> Resource:
    components: list[Resource] = []
    for name, value in answer.given.items():
        known = {"valueString": value} if isinstance(value, str) else {"valueQuantity": {"value": value}}
        components.append({"code": {"text": name}, **known})
    unknown = {"coding": [{"system": _ABSENT, "code": "unknown"}]}
    components += [{"code": {"text": name}, "dataAbsentReason": dict(unknown)} for name in answer.unknown]
    return {"code": {"text": "Clinical values that the model was given"}, "component": components} if components else {}


def _conclusion(answer: Prediction, notice: str) -> str:
    likeliest = answer.probabilities[answer.label]
    parts = [f"Most probable: {answer.label_name} ({100 * likeliest:.0f} %)"]
    if answer.decision is not None:
        parts.append(f"Decision: {_VERDICTS[answer.decision]}")
        parts += answer.reasons
    if answer.prediction_set is not None:
        named = _names(answer, answer.prediction_set)
        parts.append(f"Diagnoses that cannot be ruled out: {named}")
    parts += [fault for fault in answer.picture_faults if fault not in answer.reasons]
    return " ".join([*map(_sentence, parts), notice])


def _names(answer: Prediction, codes: Iterable[str]) -> str:
    return ", ".join(str(_concept(answer, code)["text"]) for code in codes)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _narrative(text: str) -> str:
    return f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{html.escape(text, quote=False)}</p></div>'
