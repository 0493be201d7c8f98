"""What a log holds, what it never holds, and how it goes on after whatever ended the process before."""

import hashlib
import hmac
import json
import os
import signal
import stat
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

import pytest
from service.audit.logs import MODEL, VERSIONS, answer, full_at, write_log

from dermedge.service.audit import growing_file
from dermedge.service.audit.audit_log import AuditLog
from dermedge.service.audit.growing_file import LineUnwritable
from dermedge.service.audit.log_files import files_of
from dermedge.service.audit.verify_log import verify_log
from dermedge_runtime.errors import DermedgeError, UsageError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def _records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def _whole(path: Path) -> dict[str, int]:
    found = verify_log([path])
    assert found.faults == []
    return found.events


def test_a_line(path: Path) -> None:
    lines = write_log(path, 1)
    begun, started, predicted, stopped = _records(path)
    salt = bytes.fromhex(path.with_name("audit.jsonl.salt").read_text())
    assert list(predicted) == [
        "seq", "time", "event", "model_sha256", "versions", "picture", "label", "decision", "device", "before", "sha256"
    ]  # fmt: skip
    assert predicted["picture"] == hmac.new(salt, bytes(32), "sha256").hexdigest() and len(salt) == 32
    assert (predicted["seq"], predicted["event"], predicted["versions"]) == (3, "predicted", VERSIONS)
    assert (predicted["model_sha256"], predicted["label"], predicted["decision"]) == (MODEL, "mel", "refer")
    assert list(stopped) == ["seq", "time", "event", "before", "sha256"]
    assert begun["before"] == "0" * 64 and begun["salt"] == hashlib.sha256(salt).hexdigest()
    assert started["before"] == begun["sha256"]
    assert predicted["sha256"] == hashlib.sha256(lines[2].partition(b',"sha256":')[0]).hexdigest()
    assert _whole(path) == {"begun": 1, "started": 1, "predicted": 1, "stopped": 1}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_who_can_open_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_log(path, 1)
    salt = path.with_name("audit.jsonl.salt")
    assert stat.S_IMODE(salt.stat().st_mode) == 0o600
    assert not stat.S_IMODE(path.stat().st_mode) & 0o007
    salt.chmod(0o644)
    write_log(path, 1)
    assert "can be opened by others than its owner (mode 0644)" in caplog.text


def test_it_has_no_place_for_a_patient(path: Path) -> None:
    with AuditLog(path) as log:
        for wrong in (
            {"picture_sha256": "/pictures/Jane Doe.jpg"},
            {"model_sha256": "models/m.onnx"},
            {"label": "x" * 201},
            {"picture_sha256": "A" * 64},
        ):
            with pytest.raises(UsageError, match="An audit log takes a "):
                log.append("rejected", **wrong)
        with pytest.raises(UsageError, match="takes the events started, stopped, predicted, rejected"):
            log.append("Jane Doe")  # type: ignore[arg-type]
        for unknown in ("source", "age", "reason"):
            with pytest.raises(TypeError):
                log.append("predicted", **{unknown: "Jane Doe"})
    assert _whole(path) == {"begun": 1}


def test_two_logs_have_other_hashes_of_one_picture(tmp_path: Path) -> None:
    for name in ("one.jsonl", "two.jsonl"):
        write_log(tmp_path / name, 1)
    one, two = (_records(tmp_path / name)[2]["picture"] for name in ("one.jsonl", "two.jsonl"))
    assert one != two


def test_it_goes_on(path: Path) -> None:
    write_log(path, 2)
    before = _records(path)
    with AuditLog(path) as log:
        assert log.head == (5, before[-1]["sha256"])
        assert log.append("started").seq == 6
    assert _records(path)[5]["before"] == before[-1]["sha256"]
    assert _whole(path)["started"] == 2


def test_many_threads(path: Path) -> None:
    with AuditLog(path) as log:
        threads = [
            Thread(target=lambda first=first: [answer(log, number) for number in range(first, first + 50)])
            for first in range(0, 400, 50)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert _whole(path) == {"begun": 1, "predicted": 400}
    assert len({record.get("picture") for record in _records(path)}) == 401


def test_one_process_at_a_time(path: Path) -> None:
    with AuditLog(path) as log:
        with pytest.raises(DermedgeError, match=f"is being written by process {os.getpid()} "):
            AuditLog(path)
        if hasattr(os, "fork"):
            child = os.fork()
            if not child:
                try:
                    log.append("stopped")
                except DermedgeError as error:
                    log.close()
                    os._exit(0 if "of which this is a fork" in str(error) else 1)
                os._exit(2)
            assert os.waitpid(child, 0)[1] == 0
        log.append("started")
    AuditLog(path).close()
    with pytest.raises(DermedgeError, match="is closed"):
        log.append("stopped")
    log.close()
    assert _whole(path) == {"begun": 1, "started": 1}


def test_files_of_a_size(path: Path) -> None:
    write_log(path, 30, largest=4096)
    files = files_of(path)
    assert [file.name for file in files[:3]] == ["audit.jsonl", "audit.000002.jsonl", "audit.000003.jsonl"]
    assert all(file.stat().st_size <= 4096 for file in files) and len(files) > 3
    for before, file in pairwise(files):
        last, first = _records(before)[-1], _records(file)[0]
        assert (first["event"], first["file_before"], first["seq"]) == ("continued", before.name, last["seq"] + 1)
        assert first["before"] == last["sha256"]
    assert _whole(path)["predicted"] == 30
    write_log(path, 30, largest=4096)  # goes on in the newest
    assert _whole(path)["predicted"] == 60
    path.rename(path.with_name("put away"))  # as an archive does
    write_log(path, 1)
    found = verify_log(files_of(path))
    assert (found.faults, found.events["predicted"] > 50) == ([], True)
    assert "it goes on from audit.jsonl, which was not given" in found.notes[0]
    with pytest.raises(DermedgeError, match=r"audit\.jsonl cannot be read: No such file"):
        verify_log([path])


def test_a_line_that_is_larger_than_a_file(path: Path) -> None:
    with AuditLog(path, largest=1024) as log:
        for _ in range(3):
            log.append("predicted", versions={"long": "x" * 2000})
    assert _whole(path)["predicted"] == 3


@pytest.mark.parametrize("cut", [1, 40, 300])
def test_a_torn_line_is_moved_and_told(cut: int, path: Path) -> None:
    lines = write_log(path, 3)
    path.write_bytes(b"".join(lines)[:-cut] if cut < len(lines[-1]) else b"".join(lines[:-1])[:-cut])
    torn = path.read_bytes().rpartition(b"\n")[2]
    (fault,) = verify_log([path]).faults
    assert fault.what.startswith(f"torn: after line {len(path.read_bytes().splitlines()) - 1} stand {len(torn)} bytes")
    AuditLog(path).close()
    assert path.with_name("audit.jsonl.torn").read_bytes() == torn
    repaired = _records(path)[-1]
    assert (repaired["event"], repaired["file"], repaired["torn_bytes"]) == ("repaired", "audit.jsonl", len(torn))
    assert repaired["torn_sha256"] == hashlib.sha256(torn).hexdigest()
    assert _whole(path)["repaired"] == 1


@pytest.mark.parametrize("left", [0, 20], ids=["empty", "torn"])
@pytest.mark.parametrize("rotated", [False, True])
def test_killed_while_a_file_was_begun(left: int, rotated: bool, path: Path) -> None:
    write_log(path, 8 if rotated else 0, largest=2048 if rotated else 1 << 20)
    newest = files_of(path)[-1]
    assert (newest != path) == rotated
    newest.write_bytes(newest.read_bytes()[:left])
    assert verify_log([path]).faults
    write_log(path, 1)
    events = _whole(path)
    assert (events.get("repaired", 0), events["predicted"] > 3) == (bool(left), rotated)
    assert events["begun"] == 1


def test_a_last_line_that_was_changed_is_not_gone_on_with(path: Path) -> None:
    lines = write_log(path, 3)
    path.write_bytes(b"".join(lines).replace(b'"stopped"', b'"started"'))
    before = path.read_bytes()
    with pytest.raises(DermedgeError, match="is not as it was written, so it is not gone on with"):
        AuditLog(path)
    assert path.read_bytes() == before


def test_the_salt_stays(path: Path) -> None:
    write_log(path, 1)
    salt = path.with_name("audit.jsonl.salt")
    right = salt.read_text()
    for wrong, told in (("0" * 64, "is not the one that this log was begun with"), ("x", "is damaged")):
        salt.write_text(wrong)
        with pytest.raises(DermedgeError, match=told):
            AuditLog(path)
    salt.unlink()
    with pytest.raises(DermedgeError, match="is gone"):
        AuditLog(path)
    salt.write_text(right)
    AuditLog(path).close()


@pytest.mark.parametrize("room", [0, 1, 200])
def test_a_full_disk_leaves_no_half_line(room: int, path: Path) -> None:
    with AuditLog(path) as log:
        answer(log, 1)
        before = path.read_bytes()
        with full_at(len(before) + room), pytest.raises(LineUnwritable, match="cannot be written: File too large"):
            answer(log, 2)
        assert path.read_bytes() == before
        answer(log, 3)
    assert _whole(path) == {"begun": 1, "predicted": 2}


def test_a_disk_that_is_full_when_the_next_file_begins(path: Path) -> None:
    with AuditLog(path, largest=1024) as log:
        answer(log, 1)
        for _ in range(2):
            with full_at(100), pytest.raises(LineUnwritable):
                answer(log, 2)
        assert log.head.seq == 2
        answer(log, 3)
    assert _whole(path) == {"begun": 1, "predicted": 2, "continued": 1}
    assert len(files_of(path)) == 2


def test_a_file_in_the_way_of_the_next_one(path: Path) -> None:
    with AuditLog(path, largest=1024) as log:
        answer(log, 1)
        other = path.with_name("audit.000002.jsonl")
        other.write_text("something\n")
        with pytest.raises(
            LineUnwritable, match=r"audit\.000002\.jsonl, in which the audit log was to go on, is there"
        ):
            answer(log, 2)
        other.unlink()
        answer(log, 3)
    assert _whole(path)["predicted"] == 2


@pytest.mark.parametrize("how", ["cut", "added", "replaced", "removed"])
def test_another_program_touches_it(how: str, path: Path) -> None:
    with AuditLog(path) as log:
        answer(log, 1)
        content = path.read_bytes()
        if how == "cut":
            os.truncate(path, 10)
        elif how == "added":
            path.write_bytes(content + b"{}\n")
        else:
            path.rename(path.with_name("moved"))
            if how == "replaced":
                path.write_bytes(content)
        told = "cannot be written: No such file" if how == "removed" else "was changed or replaced by another program"
        with pytest.raises(LineUnwritable, match=told):
            answer(log, 2)


@pytest.mark.parametrize("sync", ["always", "interval"])
def test_a_disk_that_does_not_keep_its_word(sync: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = AuditLog(path, sync=sync)

    def fails(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(growing_file.os, "fsync", fails)
    with pytest.raises(LineUnwritable, match="Input/output error"):
        for number in range(2):
            answer(log, number)
            with pytest.raises(LineUnwritable):
                log.sync()
    monkeypatch.undo()
    with pytest.raises(LineUnwritable):  # what was lost stays lost, though the disk says yes again
        answer(log, 3)
    log.close()


def test_when_the_disk_is_asked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    fsync = os.fsync
    monkeypatch.setattr(growing_file.os, "fsync", lambda descriptor: (calls.append(1), fsync(descriptor)))
    with AuditLog(path, sync="always") as log:
        begun = len(calls)
        for number in range(20):
            answer(log, number)
        assert len(calls) - begun == 20
    calls.clear()
    with AuditLog(path) as log:
        begun = len(calls)
        for number in range(20):
            answer(log, number)
        assert len(calls) - begun < 5
    assert len(calls) > begun


def test_the_disk_is_asked_in_the_background(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AuditLog(path) as log:
        asked = Event()
        monkeypatch.setattr(growing_file.os, "fsync", lambda descriptor: asked.set())
        for number in range(2):
            answer(log, number)
            assert asked.wait(10)
            asked.clear()


def test_settings_that_cannot_be(path: Path) -> None:
    with pytest.raises(UsageError, match="takes sync interval or always, got 'never'"):
        AuditLog(path, sync="never")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="files of at least 1024 bytes, got 10"):
        AuditLog(path, largest=10)
    assert not list(path.parent.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DermedgeError, match="cannot be written"):
        AuditLog(tmp_path / "file" / "audit.jsonl")


_WRITER = """
import sys
from pathlib import Path
from service.audit.logs import answer
from dermedge.service.audit.audit_log import AuditLog
log = AuditLog(Path(sys.argv[1]), largest=20_000)
for number in range(1_000_000):
    answer(log, number)
    print(log.head.seq, flush=True)
"""


def test_killed_at_any_moment(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    told = 0
    for lines in (30, 150):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, path], stdout=subprocess.PIPE, text=True, env=environment
        ) as writer:
            assert writer.stdout is not None
            for _ in range(lines):
                told = int(writer.stdout.readline())
            writer.send_signal(signal.SIGKILL)
            told = int(([str(told), *writer.stdout.read().split("\n")[:-1]])[-1])
        found = verify_log([path])
        assert all(fault.what.startswith("torn") for fault in found.faults)
        assert found.last is not None and told <= found.last.seq <= told + 2  # what was answered is there
    AuditLog(path).close()
    assert _whole(path)["predicted"] >= 180
