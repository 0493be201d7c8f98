"""What the service answers, as OpenAPI says it: schemas and examples from which programs make typed clients.

They are made from the model that is open: its classes, its fields, whether it explains. The example is a record of the
runtime itself, so its keys are those of a real answer; its figures are made up. Not covered: the Open Inference
Protocol, whose clients bring their own types.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, get_args

import numpy as np
from fastapi import FastAPI

from dermedge_runtime import __version__
from dermedge_runtime.decision import Verdict
from dermedge_runtime.explanation import Explanation
from dermedge_runtime.model.description import ModelSpec
from dermedge_runtime.prediction import Prediction, Rejection

from .problems import CONTENT_TYPE, Problem, rejected

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_SHA256: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_TIME: Schema = {"type": "string", "format": "date-time", "description": "UTC."}
_EXAMPLE_TIME = "2026-01-31T12:00:00.000Z"


def add_answer_schemas(app: FastAPI, spec: ModelSpec) -> None:
    """Let the application's OpenAPI document hold the schemas that its answers name."""
    made = app.openapi

    def with_answers() -> Schema:
        document = made()
        # Here and not in the routes: FastAPI leaves out every null of what they say, in examples too.
        document.setdefault("components", {}).setdefault("schemas", {}).update(_schemas(spec))
        return document

    app.openapi = with_answers  # type: ignore[method-assign]  # FastAPI's documented way


def answer_response(name: str, description: str) -> dict[int | str, Schema]:
    """Describe the answer 200.

    :param name: of its schema.
    """
    content: Schema = {"schema": _ref(name)}
    return {200: {"description": description, "content": {"application/json": content}}}


def problem_responses(*statuses: int) -> dict[int | str, Schema]:
    """Describe the answers that are none."""
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {CONTENT_TYPE: {"schema": _ref("Problem")}}}
        for status in statuses
    }


def example_answer(spec: ModelSpec) -> Schema:
    """Make an answer of `/v1/predict`, without an explanation; its figures are made up."""
    share = 1 / len(spec.classes)
    prediction = Prediction(
        label=spec.classes[0],
        probabilities=dict.fromkeys(spec.classes, share),
        source="lesion.jpg",
        model="model.onnx",
        device="cpu",
        provider="CPUExecutionProvider",
        provider_version="onnxruntime 1.24.1",
        hardware="a CPU",
        size=(600, 450),
        unknown=spec.clinical.names,
        class_names=spec.class_names,
        model_sha256="0" * 64,
        versions={"dermedge": __version__, "onnxruntime": "1.24.1"},
        notice=spec.intended_use,
        time=_EXAMPLE_TIME,
    )
    return {**prediction.to_record(), "size": list(prediction.size or ())}


def example_batch(spec: ModelSpec) -> Schema:
    """Make an answer of `/v1/predict/batch`: one picture that was classified, one that was not."""
    refused = Rejection("text.jpg", "text.jpg: its content is no picture of a known format", _EXAMPLE_TIME)
    return {"results": [example_answer(spec), refused.to_record()]}


def _schemas(spec: ModelSpec) -> Schema:
    results = {"type": "array", "items": {"anyOf": [_ref("Prediction"), _ref("Rejection")]}}
    schemas = {
        "Problem": _problem(),
        "Prediction": {**_prediction(spec), "example": example_answer(spec)},
        "Rejection": _object({"file": _TEXT, "error": {**_TEXT, "description": "Why."}, "time": _TIME}),
        "BatchAnswer": {
            **_object({"results": {**results, "description": "In the order of the pictures."}}),
            "example": example_batch(spec),
        },
        "Model": _object(
            {
                "name": _TEXT,
                "sha256": _SHA256,
                "device": _TEXT,
                "provider": _TEXT,
                "feedback": {"type": "boolean", "description": "Readers' opinions are kept; see /v1/feedback."},
                "description": {"type": "object", "additionalProperties": True},
            }
        ),
        "Alive": _object({"status": {"type": "string", "enum": ["alive"]}}),
        "Ready": _object({"status": {"type": "string", "enum": ["ready"]}, "model": _TEXT, "device": _TEXT}),
    }
    return schemas | ({"Explanation": _explanation(spec)} if spec.explains else {})


def _problem() -> Schema:
    told: Problem = rejected("age must be a number from 0 to 120 years, got 500.")
    properties: Schema = {
        "type": _TEXT,
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": {**_TEXT, "description": "What was asked, what was found, how to mend it."},
    }
    return {**_object(properties), "example": told.to_record()}


def _prediction(spec: ModelSpec) -> Schema:
    code = _class(spec)
    properties: Schema = {
        "file": {**_TEXT, "description": "Name of the picture, as it was sent."},
        "given": {
            "type": "object",
            "properties": _values(spec),
            "description": "The clinical values, as they were understood.",
        },
        "unknown": {"type": "array", "items": _TEXT, "description": "The fields that were not given."},
        "imputed": {"type": "object", "additionalProperties": _or_null({"type": ["number", "string"]})},
        "picture_faults": {"type": "array", "items": _TEXT},
        "label": code,
        "label_name": _TEXT,
        "probabilities": _object({name: {"type": "number", "minimum": 0, "maximum": 1} for name in spec.classes}),
        "decision": _or_null({"type": "string", "enum": list(get_args(Verdict))}),
        "reasons": {"type": "array", "items": _TEXT},
        "prediction_set": _or_null({"type": "array", "items": code}),
        "ood_score": _or_null(_NUMBER),
        "lesion_ood_score": _or_null(_NUMBER),
        "class_names": {"type": "object", "additionalProperties": _TEXT},
        "model": _TEXT,
        "model_sha256": _SHA256,
        "versions": {"type": "object", "additionalProperties": _TEXT},
        **dict.fromkeys(("device", "provider", "provider_version", "hardware"), _TEXT),
        "time": _TIME,
        "notice": _TEXT,
        "size": {
            "type": "array",
            "items": {"type": "integer"},
            "minItems": 2,
            "maxItems": 2,
            "description": "Width and height of the upright picture, in pixels.",
        },
    }
    required = list(properties)
    if spec.explains:
        properties["explanation"] = _ref("Explanation")
    if spec.explains or spec.no_heatmap:
        properties["explanation_text"] = _or_null(_TEXT)
    return {"type": "object", "required": required, "properties": properties}


def _explanation(spec: ModelSpec) -> Schema:
    shares = _or_null({"type": "object", "additionalProperties": _NUMBER})
    grid = {"type": "array", "items": {"type": "array", "items": _NUMBER}}
    told = Explanation(spec.classes[0], np.zeros((1, 1), np.float32), None, None).to_record()
    known: Schema = {
        "target": _class(spec),
        "heatmap": {**_or_null(grid), "description": "Rows of values in [0, 1], at the network's resolution."},
        "imputed": {"type": "object", "additionalProperties": True},
    }
    return _object({name: known.get(name, shares) for name in told})


def _class(spec: ModelSpec) -> Schema:
    return {"type": "string", "enum": list(spec.classes)}


def _values(spec: ModelSpec) -> Schema:
    words = {field.name: {"type": "string", "enum": list(field.vocabulary)} for field in spec.clinical.categorical}
    return {field.name: _NUMBER for field in spec.clinical.numeric} | words


def _object(properties: Schema) -> Schema:
    """Describe an object that has all of some properties."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
