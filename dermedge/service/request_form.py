"""What a request sends: pictures and clinical values, by the names of the model that is open; its OpenAPI too.

Nothing here is written for one model: another model file has other fields, and so another form.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from dermedge_runtime.commands.option_types import nearest
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.inputs.clinical import ClinicalValue
from dermedge_runtime.inputs.patients import read_patient
from dermedge_runtime.model.description import ModelSpec

from .decoding_process import Upload
from .feedback.feedback_log import FIELDS
from .feedback.routes import as_problems, name_schema
from .feedback.study import require_name
from .problems import Problem, rejected

MOST_BYTES = 25 * 2**20
"""Of one request."""
_LEFT_OUT = "Left out or empty: unknown."
MOST_PICTURES = 64
"""Of one request."""
_OWN = ("image", "images", "explain", "target", "patients")


class _InMemory(MultiPartParser):
    # A larger part would be written to a temporary file: pictures are never stored.
    spool_max_size = MOST_BYTES + 1


@dataclass(slots=True)
class Asked:
    """What one request asks."""

    uploads: list[Upload]
    patients: list[dict[str, ClinicalValue]] = field(default_factory=list)
    """One for each upload."""
    explain: bool = True
    target: str | None = None
    reader: str = ""
    case: str = ""
    """Both only in a study."""


async def read_form(request: Request, spec: ModelSpec, *, several: bool, study: bool = False) -> Asked:
    """Read a request's form.

    :param several: whether it is one for many pictures.
    :param study: whether it names a reader and a case.
    :raises InputRejected: a value that the model does not take, given for all pictures.
    :raises Problem: 415 for another kind of body, 413 for too large a one, 422 for what the model does not have.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the picture as multipart/form-data, in the part image.")
    try:
        form = await _InMemory(
            request.headers, request.stream(), max_files=MOST_PICTURES, max_fields=64, max_part_size=2**20
        ).parse()
    except MultiPartException as error:
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"The form cannot be read: {shown(error.message.rstrip('.'))}."
        ) from error
    part = "images" if several else "image"
    values: dict[str, str] = {}
    uploads: list[Upload] = []
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name != part:
                raise rejected(f"Pictures belong in the part {part}, and one is in {shown(name)}.")
            uploads.append(Upload(value.filename or part, await value.read()))
        elif name in values:
            raise rejected(f"{shown(name)} is given twice.")
        else:
            values[name] = value
    reader, case = _reading(values) if study else ("", "")
    if not uploads:
        raise rejected(f"There is no picture: send it as a file in the part {part}.")
    if len(uploads) > 1 and not several:
        raise rejected("There are several pictures: send them to /v1/predict/batch, in parts called images.")
    explain = _truth("explain", values.pop("explain", "true"))
    target = values.pop("target", "") or None
    _check_target(target, spec)
    rows = _patients(values.pop("patients", ""), len(uploads)) if several else [{}]
    shared: dict[str, ClinicalValue] = {**values}
    require_fields(shared, spec)
    read_patient(spec.clinical, shared)  # a wrong value for all concerns every picture: say it once
    for row in rows:
        require_fields(row, spec)
    patients = [{**shared, **row} for row in (rows or [{} for _ in uploads])]
    return Asked(uploads, patients, explain, target, reader, case)


def _reading(values: dict[str, str]) -> tuple[str, str]:
    """Take the names of a reading out of a form's values.

    :raises Problem: one is missing, or is no name.
    """
    if missing := [name for name in FIELDS if name not in values]:
        raise rejected(f"A study is on: a picture comes with reader and case, and there is no {missing[0]}.")
    with as_problems():
        reader, case = (require_name(name, values.pop(name, "")) for name in FIELDS)
    return reader, case


def require_fields(values: Mapping[str, Any], spec: ModelSpec) -> None:
    """See that values are of fields that the model has.

    :raises Problem: one is not; names the nearest.
    """
    for name in values:
        if name not in spec.clinical.names:
            known = ", ".join(spec.clinical.names) or "none"
            ending = nearest(name, spec.clinical.names)
            hint = ending if ending != "." else f"; it has {known}."
            raise rejected(f"The model has no field {shown(name)}{hint}")


def _patients(text: str, uploads: int) -> list[dict[str, ClinicalValue]]:
    if not text:
        return []
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise rejected(f"patients is no JSON: {error}.") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise rejected('patients is a list with one object for each picture, such as [{"age": 55}, {}].')
    if len(rows) != uploads:
        raise rejected(f"{uploads} pictures came with {len(rows)} patients; give one for each.")
    if any(isinstance(value, dict | list | bool) for row in rows for value in row.values()):
        raise rejected("The values of patients are numbers, texts or null.")
    return rows


def _truth(name: str, text: str) -> bool:
    word = text.lower()  # generated Python clients send True and False
    if word not in ("true", "false"):
        raise rejected(f"{name} is true or false, got {shown(text)}.")
    return word == "true"


def _check_target(target: str | None, spec: ModelSpec) -> None:
    if target is not None and target not in spec.classes:
        raise rejected(f"There is no class {shown(target)} to explain; known are {', '.join(spec.classes)}.")
    if target is not None and not spec.explains:
        why = spec.no_heatmap or "The model was exported without explanations."
        raise rejected(f"{why} So there is no target.")


def form_schema(spec: ModelSpec, *, several: bool, study: bool = False) -> dict[str, Any]:
    """Give the OpenAPI schema of the form, made from the model's own fields; a study's has reader and case too."""
    fields: dict[str, Any] = {}
    for number in spec.clinical.numeric:
        told = f"In {number.unit}. {_LEFT_OUT}" if number.unit else _LEFT_OUT
        fields[number.name] = {
            "type": "number",
            "minimum": number.minimum,
            "maximum": number.maximum,
            "description": told,
        }
    for word in spec.clinical.categorical:
        # No enumeration: other spellings and synonyms are understood too, and what is not is told.
        told = f"One of {', '.join(word.vocabulary)}. {_LEFT_OUT}"
        fields[word.name] = {"type": "string", "examples": list(word.vocabulary), "description": told}
    picture = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, TIFF, BMP, AVIF or DICOM."}
    properties: dict[str, Any] = {
        **(
            {"images": {"type": "array", "items": picture, "maxItems": MOST_PICTURES}}
            if several
            else {"image": picture}
        ),
        **fields,
        **(name_schema() if study else {}),
        "explain": {"type": "boolean", "default": True, "description": "Also the explanation."},
    }
    if spec.explains:
        told = "Explain this class. Left out or empty: the predicted one."
        properties["target"] = {"type": "string", "enum": list(spec.classes), "description": told}
    if several:
        properties["patients"] = {
            "type": "string",
            "description": "JSON: a list with one object of values for each picture. They come before those for all.",
            "example": json.dumps([{name: None for name in spec.clinical.names}]),
        }
    required = ["images" if several else "image", *(FIELDS if study else ())]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
