"""A log that goes on where the disk is full says how many lines are missing, and its chain stays whole."""

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from batch.pictures import encoded
from make_tiny_model import TINY
from service.audit.logs import answer, full_at
from service.serving import free_port, running

from dermedge.service.audit.audit_log import AuditLog
from dermedge.service.audit.growing_file import LineUnwritable, NoRoomForLine
from dermedge.service.audit.verify_log import verify_log
from dermedge.service.serve_command import run
from dermedge_runtime.errors import DermedgeError, UsageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 kB."""
    libc, folder = ctypes.CDLL(None, use_errno=True), tmp_path / "disk"
    folder.mkdir()
    if libc.mount(b"none", bytes(folder), b"tmpfs", 0, b"size=64k"):
        pytest.skip(f"a file system cannot be mounted here: {os.strerror(ctypes.get_errno())}")
    try:
        yield folder
    finally:
        libc.umount2(bytes(folder), 2)


def _records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _events(path: Path) -> list[str]:
    assert verify_log([path]).faults == []
    return [record["event"] for record in _records(path)]


def test_a_disk_that_is_really_full(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, ballast = small_disk / "audit.jsonl", small_disk / "ballast"
    with AuditLog(path, when_full="go-on") as log:
        assert answer(log, 0) is not None
        with pytest.raises(OSError, match="No space left"), ballast.open("wb", buffering=0) as stream:
            while stream.write(b"\0" * 4096):
                pass
        written = [answer(log, number) for number in range(1, 40)]
        gone = written.count(None)
        assert 20 < gone < 39 and None not in written[: 39 - gone]  # its last block had room for some
        ballast.unlink()
        assert answer(log, 40) is not None
    assert _events(path) == ["begun", *["predicted"] * (40 - gone), "missing", "predicted"]
    line = _records(path)[-2]
    assert (line["missing"], line["since"] < line["time"]) == ({"predicted": gone}, True)
    begun, ended = (record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR)
    assert "No space left on device. ANSWERS GO ON, AND ARE MISSING FROM THE AUDIT LOG" in begun
    assert f"is written again. {gone} lines are missing since {line['since']} ({gone} predicted); its line" in ended
    [note] = verify_log([path]).notes
    assert note.endswith(f"the disk was full before this line: {gone} lines are missing since"
                         f" {line['since']} ({gone} predicted)")  # fmt: skip


def test_each_gap_has_its_line(path: Path) -> None:
    with AuditLog(path, when_full="go-on") as log:
        for gap in (1, 2):
            with full_at(path.stat().st_size):
                assert [answer(log, number) for number in range(gap)] == [None] * gap
            assert answer(log, 9) is not None
    assert _events(path) == ["begun", *["missing", "predicted"] * 2]
    assert [record.get("missing") for record in _records(path)[1::2]] == [{"predicted": 1}, {"predicted": 2}]


@pytest.mark.parametrize("then", ["stop", "go-on"])
def test_a_kill_does_not_lose_the_count(path: Path, then: str, caplog: pytest.LogCaptureFixture) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from service.audit.logs import answer, full_at\n"
        "from dermedge.service.audit.audit_log import AuditLog\n"
        "path = Path(sys.argv[1]); log = AuditLog(path, when_full='go-on'); answer(log, 1)\n"
        "with full_at(path.stat().st_size): answer(log, 2); answer(log, 3); os.kill(os.getpid(), signal.SIGKILL)"
    )
    folder = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, folder])}
    assert subprocess.run([sys.executable, "-c", code, str(path)], env=environment).returncode == -signal.SIGKILL
    assert _events(path) == ["begun", "predicted"]
    if then == "go-on":
        with AuditLog(path, when_full=then) as log, full_at(path.stat().st_size):
            log.append("started")
        assert "ANSWERS GO ON" in caplog.text
    with AuditLog(path, when_full=then) as log:
        log.append("started")
    assert _events(path) == ["begun", "predicted", "missing", "started"]
    assert _records(path)[2]["missing"] == {"predicted": 2} | ({"started": 1} if then == "go-on" else {})


def test_a_kill_between_the_line_and_its_count_tells_nothing_twice(path: Path) -> None:
    count = path.with_name("audit.jsonl.missing")
    with AuditLog(path, when_full="go-on") as log:
        with full_at(path.stat().st_size):
            answer(log, 1)
        told = count.read_bytes()
        answer(log, 2)
    assert count.read_text().strip() == "" and len(count.read_bytes()) == len(told)
    count.write_bytes(told)
    with AuditLog(path, when_full="go-on") as log:
        log.append("started")
    assert _events(path) == ["begun", "missing", "predicted", "started"]


def test_only_a_full_disk_is_gone_on_with(path: Path) -> None:
    with AuditLog(path, when_full="go-on") as log:
        answer(log, 1)
        with path.open("a") as other:
            other.write("another program's\n")
        with pytest.raises(LineUnwritable, match="changed or replaced by another program") as caught:
            answer(log, 2)
        assert not isinstance(caught.value, NoRoomForLine)
    with pytest.raises(UsageError, match="takes when_full stop or go-on, got 'never'"):
        AuditLog(path, when_full="never")  # type: ignore[arg-type]


def test_a_count_that_is_none_is_told(path: Path) -> None:
    AuditLog(path).close()
    path.with_name("audit.jsonl.missing").write_text("[]")
    with pytest.raises(DermedgeError, match="and says something else"):
        AuditLog(path, when_full="go-on")


def test_a_start_on_a_full_disk_is_one_sentence(path: Path) -> None:
    AuditLog(path).close()
    arguments = ["--model", str(TINY), "--device", "cpu", "--port", str(free_port()), "--audit", str(path)]
    with (
        full_at(path.stat().st_size),
        pytest.raises(NoRoomForLine, match="cannot be written: File too large") as caught,
    ):
        run(arguments)
    assert caught.value.exit_code == 1
    with pytest.raises(UsageError, match="--audit-full is about the audit log"):
        run([*arguments[:-2], "--audit-full", "go-on"])


@pytest.mark.parametrize("what", [pytest.param("stop", marks=pytest.mark.exhaustive), "go-on"])
def test_the_service_stops_or_goes_on_and_says_so(tmp_path: Path, what: str) -> None:
    path, picture = tmp_path / "audit.jsonl", {"image": encoded(1)}
    with (
        running(tmp_path, "--audit", path, "--audit-full", what, "--workers", 1) as one,
        httpx.Client(base_url=one.address, timeout=20) as client,
    ):
        assert client.post("/v1/predict", files=picture).status_code == 200
        with full_at(path.stat().st_size, one.process.pid):
            full = [client.post("/v1/predict", files=picture) for _ in range(3)]
            assert "ANSWERS GO ON" in one.log or what == "stop"
        assert client.post("/v1/predict", files=picture).status_code == 200
        counted = client.get("/metrics").text
    events = _events(path)
    if what == "stop":
        assert [each.status_code for each in full] == [503] * 3
        assert full[0].headers["retry-after"] == "30" and "probabilities" not in full[0].text
        assert events == ["begun", "started", "predicted", "predicted", "stopped"]
    else:
        assert [each.status_code for each in full] == [200] * 3
        assert events == ["begun", "started", "predicted", "missing", "predicted", "stopped"]
        assert _records(path)[3]["missing"] == {"predicted": 3}
        assert (one.log.count("ANSWERS GO ON"), one.log.count("is written again")) == (1, 1)
    missing = 0 if what == "stop" else 3
    assert f"dermedge_answers_missing_from_audit_log_total {missing}.0" in counted
