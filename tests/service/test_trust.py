"""The service opens only what was verified, and gives no answer that its audit log does not have."""

import hashlib
import json
import shutil
from pathlib import Path

import httpx
import pytest
from batch.pictures import encoded
from make_tiny_model import SIZE, TINY
from service.serving import free_port, running

from dermedge.service.audit.audit_log import AuditLog
from dermedge.service.serve_command import run
from dermedge_runtime import ModelFileError, UsageError


@pytest.fixture
def model(tmp_path: Path, dermedge) -> Path:
    """A model with a lock file."""
    path = Path(shutil.copy(TINY, tmp_path / "m.onnx"))
    assert dermedge("sign", path, "--lock").returncode == 0
    return path


def test_a_verified_model_is_served_and_every_answer_is_in_the_log(model: Path, tmp_path: Path, dermedge) -> None:
    log, pictures = tmp_path / "audit.jsonl", [encoded(number) for number in range(3)]
    with running(tmp_path, "--require-signature", "--audit", log, "--workers", 1, model=model) as one:
        for picture in (*pictures, b"text"):
            httpx.post(f"{one.address}/v1/predict", files={"image": ("Zwiebelfisch.png", picture)}, data={"age": "77"})
        tensor = {"name": "image", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 3], "data": [0] * (SIZE * SIZE * 3)}
        assert httpx.post(f"{one.address}/v2/models/m/infer", json={"inputs": [tensor]}).status_code == 200
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["event"] for line in lines] == [
        "begun",
        "started",
        *["predicted"] * 3,
        "rejected",
        "predicted",
        "stopped",
    ]
    assert {line["label"] for line in lines[2:5]} <= {"nv", "bcc", "mel"}
    assert len({line["picture"] for line in lines[2:7]}) == 5
    for secret in ("Zwiebelfisch", "age", hashlib.sha256(pictures[0]).hexdigest()):
        assert secret not in log.read_text()
    done = dermedge("audit", "verify", log)
    assert (done.returncode, "8 lines" in done.stdout) == (0, True), done.stdout


def test_a_model_that_does_not_verify_is_not_opened(model: Path) -> None:
    port = ("--port", str(free_port()))
    with pytest.raises(ModelFileError, match="is not verified"):
        run(["--model", str(TINY), "--require-signature", *port])
    model.with_name("m.onnx.sha256").write_text(f"{'0' * 64}  m.onnx\n")
    with pytest.raises(ModelFileError) as caught:
        run(["--model", str(model), "--require-signature", *port])
    assert caught.value.exit_code == 4
    with pytest.raises(UsageError, match="--key is the public key of --require-signature"):
        run(["--model", str(model), "--key", "k.pub", *port])


def test_a_log_that_cannot_be_written_stops_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.testclient import TestClient

    from dermedge.service.app import Limits, Service, make_app
    from dermedge.service.audit.growing_file import LineUnwritable
    from dermedge_runtime import Classifier

    log = AuditLog(tmp_path / "audit.jsonl")
    app = make_app(Service(Classifier(TINY, "cpu"), Limits(decoders=1), log))
    with TestClient(app) as client:
        assert client.post("/v1/predict", files={"image": encoded(1)}).status_code == 200

        def full(*_: object, **__: object) -> None:
            raise LineUnwritable("audit.jsonl cannot be written: No space left on device.")

        monkeypatch.setattr(log, "append", full)
        answer = client.post("/v1/predict", files={"image": encoded(2)})
        assert (answer.status_code, "The audit log cannot be written" in answer.json()["detail"]) == (503, True)
        assert "probabilities" not in answer.text
    log.close()
