"""The interface's document is enough for a typed client: one is made from it by a generator, and asks the service."""

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from types import ModuleType
from typing import Any

import httpx
import pytest
from batch.pictures import encoded
from make_tiny_model import TINY
from service.serving import Running

from dermedge.service.answer_schema import example_answer
from dermedge_runtime import Classifier, model_in_the_box

GENERATOR = shutil.which("openapi-python-client")
MODEL = Classifier(TINY, "cpu")


@pytest.fixture(scope="module")
def document(service: Running) -> dict[str, Any]:
    return httpx.get(f"{service.address}/openapi.json").json()


def _require_valid(document: dict[str, Any], name: str, answer: object) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed (Ray brings it)")
    jsonschema.Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"}).validate(answer)


def test_answers_are_what_the_document_says(client: httpx.Client, document: dict[str, Any]) -> None:
    known = document["components"]["schemas"]
    answer = client.post("/v1/predict", files={"image": encoded(1)}, data={"age": "55", "sex": "male"}).json()
    files = [("images", encoded(1)), ("images", b"text")]
    many = client.post("/v1/predict/batch", files=files).json()
    refused = client.post("/v1/predict", files={"image": encoded(1)}, data={"age": "500"}).json()
    told = {"Prediction": answer, "BatchAnswer": many, "Problem": refused, "Rejection": many["results"][1]}
    told |= {"Model": client.get("/v1/model").json(), "Alive": client.get("/healthz").json()}
    told |= {"Ready": client.get("/readyz").json()}
    assert set(told) == set(known)  # this model does not explain
    for name, record in told.items():
        _require_valid(document, name, record)
        assert set(record) == set(known[name]["properties"]), name
    assert known["Prediction"]["properties"]["label"]["enum"] == ["nv", "bcc", "mel"]


def test_the_explained_answer_of_the_model_in_the_box() -> None:
    from dermedge.service.app import Limits, Service, make_app

    classifier = Classifier(model_in_the_box(), "cpu")
    document = make_app(Service(classifier, Limits(decoders=1))).openapi()
    answer = classifier.predict(encoded(1), age=55)
    record = {**json.loads(json.dumps(answer.to_record(explain=True))), "size": list(answer.size or ())}
    _require_valid(document, "Prediction", record)
    schemas = document["components"]["schemas"]
    assert set(record) == set(schemas["Prediction"]["properties"])
    assert set(record["explanation"]) == set(schemas["Explanation"]["required"])
    with pytest.raises(Exception, match="is not one of"):
        _require_valid(document, "Prediction", {**record, "label": "none of its classes"})


def test_the_examples_are_answers(document: dict[str, Any]) -> None:
    known = document["components"]["schemas"]
    assert known["Prediction"]["example"] == example_answer(MODEL.spec)
    for name in ("Prediction", "BatchAnswer", "Problem"):
        _require_valid(document, name, known[name]["example"])


@pytest.fixture(scope="module")
def generated(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The client as a package."""
    if GENERATOR is None:
        pytest.skip(
            "openapi-python-client is not on the PATH; it wants an older Typer than the project's, so it has an"
            " environment of its own: pipx install openapi-python-client"
        )
    pytest.importorskip("attr", reason="attrs, which generated clients import, is not installed")
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(json.dumps(document))
    command = [GENERATOR, "generate", "--path", "openapi.json", "--meta", "none", "--output-path", "ward_client"]
    done = subprocess.run([*command, "--fail-on-warning"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and "arning" not in done.stdout + done.stderr, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield importlib.import_module("ward_client")
    for name in [each for each in sys.modules if each.partition(".")[0] == "ward_client"]:
        del sys.modules[name]


def test_a_generated_client(generated: ModuleType, service: Running) -> None:
    def call(name: str, **values: Any) -> Any:
        return importlib.import_module(f"ward_client.api.default.{name}").sync(client=asking, **values)

    models, types = importlib.import_module("ward_client.models"), importlib.import_module("ward_client.types")

    def file(content: bytes) -> Any:
        return types.File(payload=BytesIO(content), file_name="a.png", mime_type="image/png")

    asking = generated.Client(base_url=service.address)
    told = call("model")
    assert (told.sha256, told.description["classes"]) == (MODEL.sha256, ["nv", "bcc", "mel"])

    alone = MODEL.predict(encoded(1), age=55, site="back")
    answer = call("predict", body=models.PredictBody(image=file(encoded(1)), age=55.0, site="back"))
    assert (answer.label.value, answer.given.age, answer.size) == (alone.label, 55.0, [20, 16])
    assert answer.probabilities.mel == pytest.approx(alone.probabilities["mel"], abs=1e-6)

    images = [file(encoded(1)), file(b"text")]
    body = models.PredictBatchBody(images=images, patients=json.dumps([{"age": 5}, {}]), explain=False)
    first, second = call("predict_batch", body=body).results
    assert (first.given.age, first.label.value) == (5.0, MODEL.predict(encoded(1), age=5).label)
    assert isinstance(second, models.Rejection) and "no picture of a known format" in second.error

    problem = call("predict", body=models.PredictBody(image=file(encoded(1)), age=500.0))
    assert isinstance(problem, models.Problem) and problem.status == 422
    assert "age must be a number from 0 to 120 years, got 500" in problem.detail
    assert call("ready").status.value == "ready" and isinstance(call("metrics"), str)
