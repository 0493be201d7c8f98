"""The Open Inference Protocol (KServe V2) over HTTP: tensors in, the model file's outputs out, for standard clients.

The tensors are those of the model file's contract; pictures are resized by the client. JSON and the binary extension
are understood. Not covered: shared memory, several models, streaming.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from numpy.typing import NDArray

from dermedge_runtime import __version__
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.model.answer_check import Outputs
from dermedge_runtime.model.description import ModelSpec

from .feedback.routes import ONE_AT_A_TIME
from .problems import Problem, busy

if TYPE_CHECKING:
    from .app import Service

_HEADER_LENGTH = "Inference-Header-Content-Length"
_KINDS = {"UINT8": np.uint8, "INT32": np.int32, "FP32": np.float32}
_NAMES = {np.dtype(kind): name for name, kind in _KINDS.items()}
_INPUTS = {"image": "UINT8", "numeric": "FP32", "categorical": "INT32", "target": "INT32"}


def add_kserve(app: FastAPI, service: Service) -> None:
    """Add the protocol's addresses to the application."""

    @app.exception_handler(_Refused)
    async def refused(_: Request, error: _Refused) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status)

    _add_state(app, service)
    _add_inference(app, service)


class _Refused(Problem):
    """A refusal in the protocol's own words: {"error": ...}."""


def _require_known(asked: str, service: Service) -> str:
    name = service.classifier.name.removesuffix(".onnx")
    if asked != name:
        raise _Refused(HTTPStatus.NOT_FOUND, f"There is no model {asked[:60]} here; it is {name}.")
    return name


def _add_state(app: FastAPI, service: Service) -> None:
    def ready() -> dict[str, Any]:
        if not service.ready:
            raise busy("The service is not ready yet.")
        return {"name": service.classifier.name.removesuffix(".onnx"), "ready": True}

    @app.get("/v2", include_in_schema=False)
    async def server() -> dict[str, Any]:
        return {"name": "dermedge", "version": __version__, "extensions": ["binary_tensor_data"]}

    @app.get("/v2/health/live", include_in_schema=False)
    async def live() -> dict[str, bool]:
        return {"live": True}

    @app.get("/v2/health/ready", include_in_schema=False)
    async def server_ready() -> dict[str, Any]:
        return ready()

    @app.get("/v2/models/{model}/ready", include_in_schema=False)
    async def model_ready(model: str) -> dict[str, Any]:
        _require_known(model, service)
        return ready()


def _add_inference(app: FastAPI, service: Service) -> None:
    @app.get("/v2/models/{model}", include_in_schema=False)
    async def metadata(model: str) -> dict[str, Any]:
        name = _require_known(model, service)
        return {"name": name, "versions": ["1"], "platform": "onnxruntime_onnx", **_tensors_of(service.classifier.spec)}

    @app.post("/v2/models/{model}/infer", include_in_schema=False)
    async def infer(model: str, request: Request) -> Response:
        name = _require_known(model, service)
        if service.feedback is not None:
            raise _Refused(HTTPStatus.CONFLICT, ONE_AT_A_TIME)
        asked, arrays = _read(await request.body(), request.headers.get(_HEADER_LENGTH))
        try:
            outputs = await service.batcher.alone(lambda: _run(service, arrays))
        except InputRejected as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, str(error)) from error
        service.note_outputs(arrays.get("image"), outputs)
        return _answer(name, asked, outputs)


def _tensors_of(spec: ModelSpec) -> dict[str, Any]:
    shapes: dict[str, list[int]] = {}
    if spec.image is not None:
        shapes["image"] = [-1, spec.image.size, spec.image.size, 3]
    if spec.clinical.numeric:
        shapes["numeric"] = [-1, len(spec.clinical.numeric)]
    if spec.clinical.categorical:
        shapes["categorical"] = [-1, len(spec.clinical.categorical)]
    inputs = [{"name": each, "datatype": _INPUTS[each], "shape": shape} for each, shape in shapes.items()]
    if spec.explains:
        inputs.append({"name": "target", "datatype": "INT32", "shape": [-1]})
    widths = {"probabilities": [len(spec.classes)], "heatmap": [-1, -1]}
    widths |= {key: [len(spec.clinical.features)] for key in ("relevance", "attribution")}
    outputs = [{"name": each, "datatype": "FP32", "shape": [-1, *widths.get(each, [])]} for each in spec.outputs]
    return {"inputs": inputs, "outputs": outputs}


def _read(body: bytes, header: str | None) -> tuple[Mapping[str, Any], dict[str, NDArray[Any]]]:
    """Read a request's tensors.

    :param header: length of the JSON before the binary tensors; None: there are none.
    """
    try:
        length = len(body) if header is None else int(header)
        asked = json.loads(body[:length])
        arrays, place = {}, length
        for tensor in asked["inputs"]:
            kind, shape = _KINDS[tensor["datatype"]], tuple(int(size) for size in tensor["shape"])
            size = (tensor.get("parameters") or {}).get("binary_data_size")
            if size is None:
                array = np.array(tensor["data"], dtype=kind).reshape(shape)
            else:
                array = np.frombuffer(body[place : place + int(size)], kind).reshape(shape)
                place += int(size)
            arrays[str(tensor["name"])] = array
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise _Refused(HTTPStatus.BAD_REQUEST, f"The request cannot be read ({reason}).") from error
    return asked, arrays


def _run(service: Service, arrays: dict[str, NDArray[Any]]) -> Outputs:
    if unknown := arrays.keys() - _INPUTS.keys():
        raise InputRejected(f"There is no input {min(unknown)[:60]}; there are {', '.join(_INPUTS)}.")
    rows = max((len(array) for array in arrays.values() if array.ndim), default=0)
    target = arrays.get("target")
    if target is not None and (target.size == 0 or (target != target.flat[0]).any()):
        raise InputRejected("All pictures of a request explain the same class: one value in target.")
    spec = service.classifier.spec
    return service.classifier.run(
        arrays.get("image"),
        arrays.get("numeric", np.full((rows, len(spec.clinical.numeric)), np.nan, np.float32)),
        arrays.get("categorical", np.full((rows, len(spec.clinical.categorical)), -1, np.int32)),
        -1 if target is None else int(target.flat[0]),
    )


def _answer(name: str, asked: Mapping[str, Any], outputs: Outputs) -> Response:
    wanted = asked.get("outputs") or [{"name": each} for each in outputs]
    every = bool((asked.get("parameters") or {}).get("binary_data_output"))
    told, pieces = [], []
    for each in wanted:
        if not isinstance(each, dict) or each.get("name") not in outputs:
            raise _Refused(HTTPStatus.BAD_REQUEST, f"There is no such output; there are {', '.join(outputs)}.")
        array = np.ascontiguousarray(outputs[each["name"]])
        tensor = {"name": each["name"], "datatype": _NAMES[array.dtype], "shape": list(array.shape)}
        if (each.get("parameters") or {}).get("binary_data", every):
            pieces.append(array.tobytes())
            tensor["parameters"] = {"binary_data_size": len(pieces[-1])}
        else:
            tensor["data"] = array.ravel().tolist()
        told.append(tensor)
    record: dict[str, Any] = {"model_name": name, "model_version": "1", "outputs": told}
    if "id" in asked:
        record["id"] = str(asked["id"])
    header = json.dumps(record).encode()
    if not pieces:
        return Response(header, media_type="application/json")
    return Response(
        b"".join((header, *pieces)), media_type="application/octet-stream", headers={_HEADER_LENGTH: str(len(header))}
    )
