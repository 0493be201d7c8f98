"""The two addresses that take opinions, and what a prediction asks of a study; all are there only while one is on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from dermedge.service.answer_schema import problem_responses
from dermedge.service.audit.growing_file import LineUnwritable
from dermedge.service.problems import Problem, busy, rejected
from dermedge_runtime.commands.shown_names import named
from dermedge_runtime.errors import InputRejected

from .feedback_log import FIELDS, FeedbackLog
from .study import DO_NOT_KNOW, LONGEST_NAME, OutOfOrder, Reading, require_name

_KEYS = (*FIELDS, "diagnosis")
_MOST_BYTES = 4096
ONE_AT_A_TIME = "A study is on: pictures are answered one at a time, by /v1/predict with reader and case."
"""What every other way to an answer says meanwhile."""


@contextmanager
def as_problems() -> Iterator[None]:
    """Turn what a study refuses into the service's problems.

    :raises Problem: 409 for what comes out of order, 422 for what is no name or diagnosis, 503 for a full disk.
    """
    try:
        yield
    except OutOfOrder as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from error
    except InputRejected as error:
        raise rejected(str(error)) from error
    except LineUnwritable as error:
        raise busy("The feedback file cannot be written, so nothing is stored and no answer is given.", 30) from error


def add_feedback(app: FastAPI, log: FeedbackLog) -> None:
    """Add the addresses."""
    responses = problem_responses(400, 401, 403, 409, 413, 422, 503)
    body = {"requestBody": {"required": True, "content": {"application/json": {"schema": _schema(log)}}}}

    @app.post(
        "/v1/feedback/first", summary="Store an opinion before the answer.", responses=responses, openapi_extra=body
    )
    async def first(request: Request) -> Response:
        reader, case, diagnosis = await _read(request)
        with as_problems():
            return _told(reader, case, log.first(reader, case, diagnosis))

    @app.post(
        "/v1/feedback/second", summary="Store an opinion after the answer.", responses=responses, openapi_extra=body
    )
    async def second(request: Request) -> Response:
        reader, case, diagnosis = await _read(request)
        with as_problems():
            return _told(reader, case, log.second(reader, case, diagnosis))


def _told(reader: str, case: str, reading: Reading) -> Response:
    told = {"first": reading.first, "answered": bool(reading.answers), "second": reading.second}
    return JSONResponse({"reader": reader, "case": case, **told})


async def _read(request: Request) -> tuple[str, str, object]:
    content = await request.body()
    if len(content) > _MOST_BYTES:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"An opinion has at most {_MOST_BYTES} bytes.")
    try:
        record = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"The opinion cannot be read: send {_example()} as JSON.") from error
    if not isinstance(record, dict):
        raise rejected(f"An opinion is one object: {_example()}.")
    if unknown := sorted(set(record) - set(_KEYS)):
        raise rejected(f"An opinion has {', '.join(_KEYS)}, and not {named(unknown, len(unknown))[:200]}.")
    with as_problems():
        reader, case = (require_name(name, record.get(name)) for name in FIELDS)
    return reader, case, record.get("diagnosis")


def _example() -> str:
    return '{"reader": "r1", "case": "7", "diagnosis": "nv"}'


def name_schema() -> dict[str, Any]:
    """Give the OpenAPI schema of reader and case."""
    told = {"reader": "A pseudonym of who reads.", "case": "Name or number of the case; one picture."}
    return {name: {"type": "string", "maxLength": LONGEST_NAME, "description": text} for name, text in told.items()}


def _schema(log: FeedbackLog) -> dict[str, Any]:
    diagnosis = {"type": "string", "enum": [*log.study.classes, DO_NOT_KNOW]}
    properties = {**name_schema(), "diagnosis": diagnosis}
    return {"type": "object", "properties": properties, "required": list(_KEYS), "additionalProperties": False}
