"""The HTTP interface says what the runtime says, and refuses as the command line does."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from batch.pictures import encoded
from make_tiny_model import TINY
from service.serving import Running, running

from dermedge_runtime import Classifier

PICTURE = encoded(1, "JPEG")
MODEL = Classifier(TINY, "cpu")


def sent(client: httpx.Client, content: bytes = PICTURE, path: str = "/v1/predict", **values: str) -> httpx.Response:
    return client.post(path, files={"image": ("a.jpg", content)}, data=values)


def decoders_of(service: Running) -> list[int]:
    tasks = Path(f"/proc/{service.process.pid}/task").iterdir()  # a child is that of the thread which started it
    children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def problem(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    record = response.json()
    assert (record["status"], set(record)) == (status, {"type", "title", "status", "detail"})
    assert "Traceback" not in response.text and "\n" not in record["detail"]
    return str(record["detail"])


def test_it_says_what_the_runtime_says(client: httpx.Client) -> None:
    response = sent(client, age="55", sex="male")
    assert response.status_code == 200, response.text
    record, alone = response.json(), MODEL.predict(PICTURE, age=55, sex="male")
    assert record["probabilities"] == pytest.approx(dict(alone.probabilities), abs=1e-6)
    for name in ("label", "given", "unknown", "picture_faults", "model_sha256", "device", "notice"):
        assert record[name] == json.loads(json.dumps(alone.to_record()[name]))
    assert (record["file"], record["size"]) == ("a.jpg", [20, 16])
    assert sent(client, explain="False").json()["unknown"] == ["age", "sex", "site"]  # as generated clients send it
    empty = sent(client, age="", sex="male", target="")  # as a browser sends what nobody filled in
    assert (empty.status_code, empty.json()["unknown"]) == (200, ["age", "site"])


def test_many_pictures_each_with_its_patient(client: httpx.Client) -> None:
    pictures = [encoded(number, "JPEG") for number in range(11)]
    pictures[4] = b"text"
    patients = [{"age": 5 * number} for number in range(11)]
    patients[7] = {"age": 500}
    files = [("images", (f"{number}.jpg", content)) for number, content in enumerate(pictures)]
    response = client.post("/v1/predict/batch", files=files, data={"patients": json.dumps(patients), "sex": "male"})
    results = response.json()["results"]
    assert [result["file"] for result in results] == [f"{number}.jpg" for number in range(11)]
    assert [number for number, result in enumerate(results) if "error" in result] == [4, 7]
    for number in (0, 10):
        alone = MODEL.predict(pictures[number], age=5 * number, sex="male")
        assert results[number]["probabilities"] == pytest.approx(dict(alone.probabilities), abs=1e-6)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"age": "500"}, "age must be a number from 0 to 120 years, got 500"),
        ({"agee": "5"}, "The model has no field agee; did you mean age?"),
        ({"sex": "mal"}, "Did you mean 'male'?"),
        ({"explain": "maybe"}, "explain is true or false, got maybe."),
        ({"target": "xyz"}, "There is no class xyz to explain; known are nv, bcc, mel."),
        ({"target": "mel"}, "exported without explanations"),
        ({"patients": "[]"}, "The model has no field patients"),
    ],
)
def test_what_the_model_cannot_take_is_422(client: httpx.Client, values: dict[str, str], words: str) -> None:
    assert words in problem(sent(client, **values), 422)


def test_what_is_no_request_is_told(client: httpx.Client) -> None:
    assert "no picture of a known format" in problem(sent(client, b"text"), 415)
    assert "Is the file complete?" in problem(sent(client, PICTURE[:200]), 422)
    assert "multipart/form-data" in problem(client.post("/v1/predict", json={"age": 5}), 415)
    assert "There is no picture" in problem(client.post("/v1/predict", files={"x": ("", b"")}, data={"age": "5"}), 422)
    two = [("image", ("a.jpg", PICTURE)), ("image", ("b.jpg", PICTURE))]
    assert "/v1/predict/batch" in problem(client.post("/v1/predict", files=two), 422)
    broken = client.post("/v1/predict", content=b"--x", headers={"content-type": "multipart/form-data"})
    assert "form cannot be read" in problem(broken, 400)
    assert "see /docs" in problem(client.get("/nothing"), 404)
    assert "GET is not for this address; it takes POST." in problem(client.get("/v1/predict"), 405)
    assert "at most 25 MB" in problem(sent(client, b"\xff" * (26 * 2**20)), 413)


def test_a_body_that_does_not_say_its_length_is_limited_too(client: httpx.Client) -> None:
    def endless():
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        for _ in range(40):
            yield b"\0" * 2**20

    headers = {"content-type": "multipart/form-data; boundary=x"}
    with suppress(httpx.WriteError):  # the connection may be closed while more is coming
        assert "at most 25 MB" in problem(client.post("/v1/predict", content=endless(), headers=headers), 413)
    assert sent(client).status_code == 200


def test_an_early_refusal_reaches_a_client_that_still_sends(service: Running) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="image"\r\nX: ' + b"x" * 5_000_000
    asked = b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n"
    asked += b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", int(service.address.rpartition(":")[2])), 20) as connection:
            connection.sendall(asked % len(head) + head)
            assert connection.recv(100).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:8000"}, 403),
        ({"host": "localhost"}, 200),
        ({"host": "[::1]:8000"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_other_hosts_and_origins_are_turned_away(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    response = client.post("/v1/predict", files={"image": ("a.jpg", PICTURE)}, headers=headers)
    assert response.status_code == status
    same = {"origin": str(client.base_url).rstrip("/")}
    assert client.post("/v1/predict", files={"image": ("a.jpg", PICTURE)}, headers=same).status_code == 200


def test_every_answer_has_the_headers_that_keep_browsers_safe(client: httpx.Client) -> None:
    for response in (client.get("/healthz"), client.get("/nothing"), client.get("/healthz", headers={"host": "x"})):
        assert "default-src 'none'" in response.headers["content-security-policy"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in response.headers and "server" not in response.headers


def test_the_interface_is_made_from_the_model(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    body = document["paths"]["/v1/predict"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(body["properties"]) == {"image", "age", "sex", "site", "explain"}
    assert body["properties"]["site"]["examples"] == ["back", "face", "lower extremity"]
    assert (body["properties"]["age"]["minimum"], body["properties"]["age"]["maximum"]) == (0.0, 120.0)
    assert body["properties"]["age"]["description"] == "In years. Left out or empty: unknown."
    told = client.get("/v1/model").json()
    assert (told["sha256"], told["description"]["classes"]) == (MODEL.sha256, ["nv", "bcc", "mel"])


def test_the_counters_count(client: httpx.Client) -> None:
    def value(line: str) -> float:
        found = [each for each in client.get("/metrics").text.splitlines() if each.startswith(line)]
        return float(found[0].split()[-1]) if found else 0.0

    line = 'dermedge_requests_total{path="/v1/predict",status="200"}'
    refused = 'dermedge_requests_total{path="/v1/predict",status="422"}'
    before = value(line), value(refused)
    sent(client), sent(client), sent(client, age="500")
    assert (value(line), value(refused)) == (before[0] + 2, before[1] + 1)
    assert value("dermedge_waiting_pictures") == 0


def test_a_decoder_that_dies_takes_nothing_along(service: Running, client: httpx.Client) -> None:
    [decoder] = decoders_of(service)
    os.kill(decoder, signal.SIGKILL)
    first = sent(client)
    assert first.status_code in (200, 422)
    assert sent(client).status_code == 200


def test_a_token_is_asked_for_where_one_was_given(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("correct-horse-battery\n")
    with (
        running(tmp_path, "--token-file", "token", "--workers", 1) as one,
        httpx.Client(base_url=one.address) as client,
    ):
        assert "Authorization: Bearer" in problem(sent(client), 401)
        for wrong in ("Bearer wrong", "Basic correct-horse-battery", "Bearer", "correct-horse-battery", "Bearer \xe4"):
            answer = client.post(
                "/v1/predict", files={"image": PICTURE}, headers={"authorization": wrong.encode("latin-1")}
            )
            assert answer.status_code == 401
        right = {"authorization": "Bearer correct-horse-battery"}
        assert client.post("/v1/predict", files={"image": PICTURE}, headers=right).status_code == 200
        assert client.get("/v1/model").status_code == client.get("/metrics").status_code == 401
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        assert "correct-horse" not in one.log


def test_what_was_begun_is_finished_when_the_service_ends(tmp_path: Path) -> None:
    with running(tmp_path, "--workers", 1) as one:
        statuses: list[int] = []
        [decoder] = decoders_of(one)
        os.kill(decoder, signal.SIGSTOP)  # so that all requests are at work when the end is asked for

        def ask() -> None:
            with httpx.Client(base_url=one.address, timeout=20) as client:
                statuses.append(sent(client).status_code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 8
        while "dermedge_requests_at_work 3.0" not in httpx.get(f"{one.address}/metrics").text:
            assert time.monotonic() < end
            time.sleep(0.02)
        one.process.terminate()
        time.sleep(0.2)
        assert one.process.poll() is None and statuses == []
        os.kill(decoder, signal.SIGCONT)
        for thread in threads:
            thread.join()
        assert statuses == [200, 200, 200]
        assert one.process.wait(10) in (0, -signal.SIGTERM)
        assert "Traceback" not in one.log


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--host", "0.0.0.0"), 2, "Other machines can reach 0.0.0.0: give a token with --token-file"),
        (("--token-file", "short"), 1, "must be one word of at least 16 characters"),
        (("--token-file", "none"), 1, "Cannot read the token in none: No such file or directory."),
        (("--tls-cert", "a.pem"), 2, "--tls-cert and --tls-key go together"),
        (("--tls-cert", "a.pem", "--tls-key", "none"), 1, "Cannot read none: No such file or directory."),
        (("--tls-cert", "a.pem", "--tls-key", "a.pem"), 1, "are no certificate and key in PEM"),
        (("--audit", "x.jsonl", "--feedback", "./x.jsonl"), 2, "--audit and --feedback both name x.jsonl"),
        (("--port", "70000"), 2, "--port goes up to 65535, got 70000."),
        (("--host", "203.0.113.9", "--token-file", "token"), 1, "Cannot listen on 203.0.113.9, port"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, words: str
) -> None:
    from dermedge.service.serve_command import run
    from dermedge_runtime import DermedgeError

    monkeypatch.chdir(tmp_path)
    (tmp_path / "short").write_text("abc")
    (tmp_path / "token").write_text("a-token-that-is-long")
    (tmp_path / "a.pem").write_text("text")
    with pytest.raises(DermedgeError, match=r"\w") as caught:
        run(["--model", str(TINY), *arguments])
    assert (caught.value.exit_code, words in str(caught.value)) == (code, True), str(caught.value)


def test_a_port_in_use_is_told(service: Running) -> None:
    from dermedge.service.serve_command import run
    from dermedge_runtime import DermedgeError

    port = service.address.rpartition(":")[2]
    with pytest.raises(DermedgeError, match=rf"port {port}: Address already in use\. Choose another with --port"):
        run(["--model", str(TINY), "--port", port])


def test_certificate_and_key_of_two_kinds(tmp_path: Path) -> None:
    from dermedge.service.serve_command import run
    from dermedge_runtime import DermedgeError

    for name in ("a", "b"):
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]
        subprocess.run(
            [*command, "-subj", "/CN=localhost", "-keyout", f"{name}.key", "-out", f"{name}.pem"],
            cwd=tmp_path, check=True, capture_output=True,
        )  # fmt: skip
    arguments = ["--tls-cert", str(tmp_path / "a.pem"), "--tls-key", str(tmp_path / "b.key")]
    with pytest.raises(DermedgeError, match="do not belong together"):
        run(["--model", str(TINY), *arguments])
    with (
        running(tmp_path, "--tls-cert", "a.pem", "--tls-key", "a.key", "--workers", 1, scheme="https") as one,
        httpx.Client(base_url=one.address, verify=False) as client,
    ):
        assert sent(client).status_code == 200
