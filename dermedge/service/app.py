"""The HTTP interface over one open model."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from numpy.typing import NDArray

from dermedge_runtime import __version__
from dermedge_runtime.classifier import Classifier
from dermedge_runtime.errors import DermedgeError, InputRejected
from dermedge_runtime.inputs.patients import Patient, read_patient
from dermedge_runtime.inputs.prepared_picture import PreparedPicture
from dermedge_runtime.model.answer_check import Outputs
from dermedge_runtime.prediction import Prediction, Rejection

from .answer_schema import add_answer_schemas, answer_response, problem_responses
from .audit.audit_log import AuditLog, Event, Written
from .audit.growing_file import LineUnwritable
from .batcher import Batcher
from .decoders import Decoders
from .decoding_process import Decoded, Upload
from .feedback.feedback_log import FeedbackLog
from .feedback.routes import ONE_AT_A_TIME, add_feedback, as_problems
from .kserve import add_kserve
from .metrics import Counted, Metrics
from .page import add_page
from .problems import CONTENT_TYPE, Problem, busy, rejected
from .request_form import Asked, form_schema, read_form

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much the service takes on."""

    decoders: int = 2
    """Processes that decode."""
    batch: int = 8
    """Pictures of one run of the network."""
    queue: int = 64
    """Pictures that may wait for the network."""
    requests: int = 256
    """Requests at once, those included whose picture is still decoded."""
    seconds: float = 10.0
    """That a request may take, and that decoding a picture may."""


class Service:
    """One open model, and everything between it and the requests."""

    def __init__(
        self,
        classifier: Classifier,
        limits: Limits,
        audit: AuditLog | None = None,
        feedback: FeedbackLog | None = None,
    ) -> None:
        """Make ready, without starting anything.

        :param audit: log that every answer is appended to, before it leaves.
        :param feedback: study that every answer belongs to; without one, answers belong to nothing.
        """
        assert classifier.spec.image is not None
        self.classifier, self.limits, self.audit, self.feedback = classifier, limits, audit, feedback
        self.decoders = Decoders(
            classifier.spec.image, classifier.spec.clinical, count=limits.decoders, seconds=limits.seconds
        )
        self.batcher = Batcher(self._run, most=limits.batch, longest=limits.queue)
        self.metrics = Metrics(lambda: self.batcher.waiting, lambda: self._at_work)
        self.ready = False
        self._at_work = 0

    def _run(self, entries: Any, target: str | None) -> list[Prediction]:
        return self.classifier.predict_prepared(entries, target=target)

    async def start(self) -> None:
        """Start the processes, and see that a prediction really comes."""
        await self.decoders.start()
        self.batcher.start()
        size = self.classifier.spec.image.size if self.classifier.spec.image else 0
        pixels = np.zeros((size, size, 3), np.uint8)
        trial = PreparedPicture("a trial", None, (size, size), pixels, None, ())
        patient = read_patient(self.classifier.spec.clinical, {})
        await self.batcher.answer([(trial, patient)], None, 60.0)
        self.ready = True

    def note_start(self) -> None:
        """Append the start to the audit log, before anything else is done.

        :raises LineUnwritable: it cannot be written.
        """
        if self.audit is not None:
            self._write_line(self.audit, "started", None, {})

    async def close(self) -> None:
        """Finish what was begun, and end."""
        self.ready = False
        await self.batcher.close()
        await self.decoders.close()
        with suppress(Problem):  # it was said in the log of the process
            self._note("stopped")

    def note_outputs(self, images: NDArray[np.uint8] | None, outputs: Outputs) -> None:
        """Append answers to bare tensors, uint8 [B, size, size, 3], to the audit log, each with the hash of its pixels.

        :raises Problem: it cannot be written.
        """
        if self.audit is None:
            return
        for row, probabilities in enumerate(outputs["probabilities"]):
            label = self.classifier.spec.classes[int(probabilities.argmax())]
            sha256 = None if images is None else hashlib.sha256(images[row].tobytes()).hexdigest()
            self._append("predicted", sha256, {"label": label})

    def _note(self, event: Event, answer: Prediction | Rejection | None = None, sha256: str | None = None) -> None:
        """Append to the audit log: nothing that names anybody, and no value of a patient.

        :raises Problem: it cannot be written, so that no answer may leave.
        """
        if self.audit is None:
            return
        told = {"label": answer.label, "decision": answer.decision} if isinstance(answer, Prediction) else {}
        self._append(event, sha256, told)

    def _append(self, event: Event, sha256: str | None, told: Mapping[str, str | None]) -> None:
        assert self.audit is not None
        try:
            written = self._write_line(self.audit, event, sha256, told)
        except LineUnwritable as error:
            _log.error("%s", error)
            raise busy("The audit log cannot be written, so no answer is given.", 30) from error
        if written is None and event in ("predicted", "rejected"):
            self.metrics.unlogged.inc()

    def _write_line(
        self, audit: AuditLog, event: Event, sha256: str | None, told: Mapping[str, str | None]
    ) -> Written | None:
        return audit.append(
            event,
            model_sha256=self.classifier.sha256,
            versions={"dermedge": __version__},
            picture_sha256=sha256,
            label=told.get("label"),
            decision=told.get("decision"),
            device=self.classifier.device,
        )

    async def answer(self, asked: Asked) -> list[Prediction | Rejection]:
        """Answer a request, each upload in its place; a file with several pictures gives several answers.

        :raises Problem: there is too much to do, or it took too long.
        """
        if self._at_work >= self.limits.requests:
            raise busy(f"{self._at_work} requests are at work already. Ask again in a moment.")
        self._at_work += 1
        try:
            async with asyncio.timeout(self.limits.seconds):
                decoded = await asyncio.gather(*map(self._decode, asked.uploads))
                return await self._answer(asked, decoded)
        except TimeoutError:
            raise busy(f"There was no answer within {self.limits.seconds:g} s. Ask again in a moment.") from None
        finally:
            self._at_work -= 1

    async def _decode(self, upload: Upload) -> Decoded:
        try:
            return await self.decoders.decode(upload)
        except Problem as problem:
            if problem.status != HTTPStatus.UNPROCESSABLE_ENTITY:
                raise
            return Decoded(refused=problem.detail)

    async def _answer(self, asked: Asked, decoded: list[Decoded]) -> list[Prediction | Rejection]:
        slots: list[tuple[PreparedPicture, Patient] | Rejection] = []
        hashes: list[str] = []
        for upload, given, one in zip(asked.uploads, asked.patients, decoded, strict=True):
            hashes += [one.sha256] * max(1, len(one.pictures))
            if one.refused:
                slots.append(Rejection(upload.name, one.refused))
            for picture, own in zip(one.pictures, one.clinical, strict=True):
                try:
                    patient = read_patient(self.classifier.spec.clinical, {**own, **given})
                except InputRejected as error:
                    slots.append(Rejection(upload.name, str(error)))
                else:
                    slots.append((replace(picture, content=upload.content), patient))
        entries = [slot for slot in slots if not isinstance(slot, Rejection)]
        answers = iter(await self._in_pieces(entries, asked.target))
        results = [slot if isinstance(slot, Rejection) else next(answers) for slot in slots]
        for result, sha256 in zip(results, hashes, strict=True):
            self._note("rejected" if isinstance(result, Rejection) else "predicted", result, sha256 or None)
        return results

    async def _in_pieces(self, entries: list[tuple[PreparedPicture, Patient]], target: str | None) -> list[Prediction]:
        """Answer many pictures in pieces of one run each, so that others get their turn in between."""
        answers: list[Prediction] = []
        for start in range(0, len(entries), self.limits.batch):
            piece = entries[start : start + self.limits.batch]
            answers += await self.batcher.answer(piece, target, self.limits.seconds)
        return answers


def make_app(service: Service) -> FastAPI:
    """Make the application; start and end of the service are its lifespan."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="dermedge",
        version=__version__,
        description=f"{service.classifier.name}: {service.classifier.spec.intended_use}",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Counted, metrics=service.metrics)
    _handle_problems(app, service)
    _add_predictions(app, service)
    _add_state(app, service)
    add_kserve(app, service)
    if service.feedback is not None:
        add_feedback(app, service.feedback)
    add_page(app)
    add_answer_schemas(app, service.classifier.spec)
    return app


def _problem(problem: Problem) -> JSONResponse:
    return JSONResponse(problem.to_record(), problem.status, problem.headers, CONTENT_TYPE)


def _handle_problems(app: FastAPI, service: Service) -> None:
    @app.exception_handler(Problem)
    async def told(_: Request, problem: Problem) -> JSONResponse:
        service.metrics.rejections.labels(str(problem.status)).inc()
        return _problem(problem)

    @app.exception_handler(InputRejected)
    async def refused(_: Request, error: InputRejected) -> JSONResponse:
        service.metrics.rejections.labels("422").inc()
        return _problem(rejected(str(error)))

    @app.exception_handler(DermedgeError)
    async def failed(_: Request, error: DermedgeError) -> JSONResponse:
        _log.error("%s", error)
        return _problem(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)))

    @app.exception_handler(404)
    async def absent(request: Request, _: Exception) -> JSONResponse:
        return _problem(Problem(HTTPStatus.NOT_FOUND, "There is nothing at this address; see /docs."))

    @app.exception_handler(405)
    async def another_method(request: Request, error: Any) -> JSONResponse:
        allowed = (getattr(error, "headers", None) or {}).get("Allow", "")
        detail = f"{request.method} is not for this address; it takes {allowed}." if allowed else "Not this method."
        return _problem(Problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, {"Allow": allowed} if allowed else {}))

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> JSONResponse:
        _log.exception("a request failed", exc_info=error)
        return _problem(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; its log says why."))


def _add_predictions(app: FastAPI, service: Service) -> None:
    spec, feedback = service.classifier.spec, service.feedback
    problems = problem_responses(400, 401, 403, *([] if feedback is None else [409]), 413, 415, 422, 503)
    one = answer_response("Prediction", "What the model says, and why.") | problems
    many = answer_response("BatchAnswer", "An answer for each picture.") | problems

    def form(several: bool) -> dict[str, Any]:
        schema = form_schema(spec, several=several, study=feedback is not None)
        return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}

    @app.post(
        "/v1/predict",
        operation_id="predict",
        summary="Classify one picture.",
        responses=one,
        openapi_extra=form(False),
    )
    async def predict(request: Request) -> Response:
        asked = await read_form(request, spec, several=False, study=feedback is not None)
        reading = (asked.reader, asked.case, hashlib.sha256(asked.uploads[0].content).hexdigest())
        if feedback is not None:
            with as_problems():
                feedback.require_may_ask(*reading)
        answers = await service.answer(asked)
        if len(answers) > 1:
            mend = "send it to /v1/predict/batch" if feedback is None else "a case of a study is one picture"
            raise rejected(f"{asked.uploads[0].name} holds {len(answers)} pictures: {mend}.")
        [answer] = answers
        if isinstance(answer, Rejection):
            no_picture = "its content is no picture of a known format" in answer.reason
            status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE if no_picture else HTTPStatus.UNPROCESSABLE_ENTITY
            raise Problem(status, answer.reason)
        if feedback is not None:
            with as_problems():
                feedback.answer(*reading, answer)
        return _json(_record(answer, asked, service))

    @app.post(
        "/v1/predict/batch",
        operation_id="predict_batch",
        summary="Classify many pictures.",
        responses=many,
        openapi_extra=form(True),
        include_in_schema=feedback is None,
    )
    async def predict_batch(request: Request) -> Response:
        if feedback is not None:
            raise Problem(HTTPStatus.CONFLICT, ONE_AT_A_TIME)
        asked = await read_form(request, spec, several=True)
        return _json({"results": [_record(answer, asked, service) for answer in await service.answer(asked)]})


def _record(answer: Prediction | Rejection, asked: Asked, service: Service) -> dict[str, Any]:
    if isinstance(answer, Rejection):
        service.metrics.rejections.labels("picture").inc()
        return answer.to_record()
    service.metrics.classes.labels(answer.label).inc()
    if answer.decision is not None:
        service.metrics.decisions.labels(answer.decision).inc()
    if answer.ood_score is not None:
        service.metrics.ood.observe(answer.ood_score)
    return {**answer.to_record(explain=asked.explain), "size": answer.size}


def _json(record: Any) -> Response:
    return Response(json.dumps(record, allow_nan=False), media_type="application/json")


def _add_state(app: FastAPI, service: Service) -> None:
    classifier = service.classifier

    described_model = answer_response("Model", "The model that is open.") | problem_responses(401, 403)
    alive = answer_response("Alive", "It lives.") | problem_responses(403)
    is_ready = answer_response("Ready", "It answers.") | problem_responses(403, 503)

    @app.get(
        "/v1/model",
        operation_id="model",
        summary="Everything the model file says about itself.",
        responses=described_model,
    )
    async def model() -> Response:
        described = json.loads(classifier.spec.to_json())
        told = {"name": classifier.name, "sha256": classifier.sha256, "device": classifier.device}
        study = service.feedback is not None
        return _json({**told, "provider": classifier.provider, "feedback": study, "description": described})

    @app.get("/healthz", operation_id="health", summary="Whether the service lives.", responses=alive)
    async def health() -> Response:
        return _json({"status": "alive"})

    @app.get("/readyz", operation_id="ready", summary="Whether it answers: a real prediction came.", responses=is_ready)
    async def ready() -> Response:
        if not service.ready:
            raise busy("The service is not ready yet.")
        return _json({"status": "ready", "model": classifier.name, "device": classifier.device})

    plain: dict[int | str, dict[str, Any]] = {
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Counters."}
    }
    responses = plain | problem_responses(401, 403)

    @app.get(
        "/metrics",
        operation_id="metrics",
        summary="Counters for Prometheus.",
        response_class=PlainTextResponse,
        responses=responses,
    )
    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
