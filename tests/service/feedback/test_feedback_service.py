"""A study over HTTP: the order of opinion, answer, opinion is the service's, and the file has all of it and no more."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from batch.pictures import encoded
from make_tiny_model import SIZE, TINY
from service.serving import Running, running
from starlette.testclient import TestClient

from dermedge.service.app import Limits, Service, make_app
from dermedge.service.audit.growing_file import LineUnwritable
from dermedge.service.feedback.feedback_file import read_feedback
from dermedge.service.feedback.feedback_log import FeedbackLog
from dermedge.service.feedback.study import OutOfOrder
from dermedge_runtime import Classifier

MODEL = Classifier(TINY, "cpu")
PICTURES = [encoded(number, "JPEG") for number in range(3)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feedback") / "readers.jsonl"


@pytest.fixture(scope="module")
def study(file: Path) -> Iterator[Running]:
    with running(file.parent, "--feedback", file.name, "--workers", 1) as one:
        yield one


@pytest.fixture
def client(study: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=study.address, timeout=20) as one:
        yield one


def told(client: httpx.Client, which: str, reader: object, case: object, diagnosis: object) -> httpx.Response:
    record = {"reader": reader, "case": case, "diagnosis": diagnosis}
    return client.post(f"/v1/feedback/{which}", json=record)


def asked(client: httpx.Client, reader: str, case: str, picture: bytes = PICTURES[0], **values: str) -> httpx.Response:
    data = {"reader": reader, "case": case, **values}
    return client.post("/v1/predict", files={"image": ("Zwiebelfisch.jpg", picture)}, data=data)


def refused(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert "probabilities" not in response.text
    return str(response.json()["detail"])


def lines(file: Path, reader: str) -> list[dict[str, object]]:
    records = [json.loads(line) for line in file.read_text().splitlines()]
    return [record for record in records if record.get("reader") == reader]


def test_first_then_answer_then_second(client: httpx.Client, file: Path) -> None:
    assert "no first opinion of ana on case 7" in refused(asked(client, "ana", "7"), 409)
    assert lines(file, "ana") == []
    stored = told(client, "first", " ana ", "7", "nv")
    expected = {"reader": "ana", "case": "7", "first": "nv", "answered": False, "second": None}
    assert (stored.status_code, stored.json()) == (200, expected)
    assert "comes after it" in refused(told(client, "second", "ana", "7", "nv"), 409)
    assert "no first opinion of ben" in refused(asked(client, "ben", "7"), 409)
    answer = asked(client, "ana", "7", site="face").json()
    assert told(client, "second", "ana", "7", "mel").json() == {**expected, "answered": True, "second": "mel"}
    first, model, second = lines(file, "ana")
    assert list(first) == ["event", "time", "reader", "case", "diagnosis"]
    assert (first["event"], first["diagnosis"], second["event"], second["diagnosis"]) == (
        "first",
        "nv",
        "second",
        "mel",
    )
    assert list(model) == [
        "event", "time", "reader", "case", "label", "probabilities", "decision", "model_sha256"
    ]  # fmt: skip
    for name in ("label", "probabilities", "model_sha256"):
        assert model[name] == answer[name]
    assert "Zwiebelfisch" not in file.read_text() and "face" not in file.read_text()


def test_what_is_stored_stays(client: httpx.Client, file: Path) -> None:
    told(client, "first", "cleo", "1", "nv")
    assert "cleo has said nv of case 1, and a first opinion stays" in refused(
        told(client, "first", "cleo", "1", "mel"), 409
    )
    asked(client, "cleo", "1")
    assert "a first opinion stays" in refused(told(client, "first", "cleo", "1", "mel"), 409)
    told(client, "second", "cleo", "1", "nv")
    assert "and that stays" in refused(told(client, "second", "cleo", "1", "mel"), 409)
    # The same again, as after a lost reply, changes nothing.
    assert told(client, "first", "cleo", "1", "nv").json()["second"] == "nv"
    assert told(client, "second", "cleo", "1", "nv").status_code == 200
    assert [line["event"] for line in lines(file, "cleo")] == ["first", "model", "second"]


def test_other_values_are_another_answer_until_the_second_opinion(client: httpx.Client, file: Path) -> None:
    told(client, "first", "dora", "1", "do_not_know")
    for age in ("20", "20", "80"):
        assert asked(client, "dora", "1", age=age).status_code == 200
    told(client, "second", "dora", "1", "nv")
    assert asked(client, "dora", "1", age="50").status_code == 200
    assert [line["event"] for line in lines(file, "dora")] == ["first", "model", "model", "second"]


def test_a_case_is_one_picture(client: httpx.Client) -> None:
    told(client, "first", "eva", "1", "nv")
    assert refused(asked(client, "eva", "1", b"text"), 415)
    assert asked(client, "eva", "1", PICTURES[0]).status_code == 200
    assert "has another picture" in refused(asked(client, "eva", "1", PICTURES[1]), 409)
    assert asked(client, "eva", "1", PICTURES[0], explain="false").status_code == 200


def test_there_is_no_other_way_to_an_answer(client: httpx.Client) -> None:
    picture = {"image": ("a.jpg", PICTURES[0])}
    assert "there is no reader" in refused(client.post("/v1/predict", files=picture), 422)
    assert "there is no case" in refused(client.post("/v1/predict", files=picture, data={"reader": "a"}), 422)
    batch = client.post("/v1/predict/batch", files=[("images", ("a.jpg", PICTURES[0]))])
    assert "one at a time, by /v1/predict" in refused(batch, 409)
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 3], "data": [0] * (SIZE * SIZE * 3)}
    bare = client.post("/v2/models/tiny/infer", json={"inputs": [tensor]})
    assert (bare.status_code, "outputs" in bare.text) == (409, False)


@pytest.mark.parametrize(
    ("reader", "case", "diagnosis", "words"),
    [
        ("a", "1", "mela", "The model has no diagnosis mela; did you mean mel?"),
        ("a", "1", "xyz", "there are nv, bcc, mel, do_not_know."),
        ("a", "1", None, "diagnosis is one of nv, bcc, mel, do_not_know."),
        ("", "1", "nv", "reader is missing"),
        ("a", " ", "nv", "case is missing"),
        ("a", 7, "nv", "case is a text"),
        ("a", "x" * 65, "nv", "case has 65 characters; 64 are the most."),
        ("a\x07b", "1", "nv", r"reader holds control characters: a\x07b."),
        ("a", "1\u202e2", "nv", "case holds control characters"),
    ],
)
def test_what_is_no_opinion_is_told(
    client: httpx.Client, file: Path, reader: object, case: object, diagnosis: object, words: str
) -> None:
    before = file.read_bytes()
    assert words in refused(told(client, "first", reader, case, diagnosis), 422)
    assert file.read_bytes() == before


def test_what_is_no_record_is_told(client: httpx.Client) -> None:
    def sent(content: bytes) -> httpx.Response:
        return client.post("/v1/feedback/first", content=content)

    assert "send {" in refused(sent(b"{"), 400)
    assert "is one object" in refused(sent(b"[]"), 422)
    assert "and not age" in refused(sent(b'{"reader": "a", "case": "1", "age": 7}'), 422)
    assert "at most 4096 bytes" in refused(sent(b" " * 5000), 413)


def test_the_interface_names_a_study_only_where_there_is_one(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()["paths"]
    form = document["/v1/predict"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["required"] == ["image", "reader", "case"] and "409" in document["/v1/predict"]["post"]["responses"]
    opinion = document["/v1/feedback/first"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert opinion["properties"]["diagnosis"]["enum"] == ["nv", "bcc", "mel", "do_not_know"]
    assert "/v1/feedback/second" in document and "/v1/predict/batch" not in document
    assert client.get("/v1/model").json()["feedback"] is True
    document = make_app(Service(MODEL, Limits())).openapi()["paths"]
    assert not [path for path in document if "feedback" in path] and "/v1/predict/batch" in document
    assert "409" not in document["/v1/predict"]["post"]["responses"]


def test_what_a_kill_leaves_is_gone_on_with(client: httpx.Client, file: Path, tmp_path: Path) -> None:
    for case in "12":
        told(client, "first", "fritz", case, "nv")
        asked(client, "fritz", case)
    told(client, "second", "fritz", "1", "mel")
    whole, copy = file.read_bytes(), tmp_path / "copy.jsonl"  # what is told lies on the disk: a kill takes nothing away
    copy.write_bytes(whole + b'{"event":"second","time":"2026')
    log = FeedbackLog(copy, model="tiny", sha256=MODEL.sha256, spec=MODEL.spec)
    with pytest.raises(OutOfOrder, match="fritz has finished case 1"):
        log.require_may_ask("fritz", "1", "0" * 64)
    with pytest.raises(OutOfOrder, match="a first opinion stays"):
        log.first("fritz", "2", "mel")
    log.require_may_ask("fritz", "2", "0" * 64)
    assert log.second("fritz", "2", "bcc").second == "bcc"
    log.close()
    assert copy.read_bytes().startswith(whole)
    assert (tmp_path / "copy.jsonl.torn").read_bytes() == b'{"event":"second","time":"2026'
    assert [json.loads(line)["event"] for line in copy.read_text().splitlines()[-2:]] == ["repaired", "second"]
    readings = read_feedback(copy).readings
    assert [(readings["fritz", case].first, readings["fritz", case].second) for case in "12"] == [
        ("nv", "mel"), ("nv", "bcc")
    ]  # fmt: skip


def test_a_full_disk_gives_no_answer_and_stores_no_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = FeedbackLog(tmp_path / "r.jsonl", model="tiny", sha256=MODEL.sha256, spec=MODEL.spec)
    with TestClient(make_app(Service(MODEL, Limits(decoders=1), feedback=log))) as client:
        told(client, "first", "a", "1", "nv")
        before = log.path.read_bytes()

        def full(*_: object) -> None:
            raise LineUnwritable("r.jsonl cannot be written: No space left on device.")

        with monkeypatch.context() as patch:
            patch.setattr(log._file, "append", full)
            for response in (asked(client, "a", "1"), told(client, "first", "a", "2", "nv")):
                assert "nothing is stored and no answer is given" in refused(response, 503)
        assert log.path.read_bytes() == before
        # Nothing was taken as stored: both go on when there is room again.
        assert told(client, "first", "a", "2", "mel").status_code == 200
        assert "has not seen the model's answer" in refused(told(client, "second", "a", "1", "nv"), 409)
    log.close()
