"""Ray is joined soon, or it is said why not."""

import os
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from dermedge.batch.cluster import ray_start
from dermedge_runtime.errors import DermedgeError, UsageError


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ray_start, "_ANSWER_S", 0.5)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize("listens", [False, True])
def test_where_nothing_answers(listens: bool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if listens:
            taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(DermedgeError, match=f"No Ray cluster answers at {address}"):
            ray_start._require_answer(address)


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_where_something_else_answers(reply: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(DermedgeError, match=f"What answers at {address} is not Ray"):
            ray_start._require_answer("auto")
        thread.join()


@pytest.mark.parametrize("address", ["ray://10.0.0.1:10001", "10.0.0.1", "10.0.0.1:x", "10.0.0.1:99999"])
def test_addresses_of_other_kinds(address: str) -> None:
    pytest.importorskip("ray.data")
    with pytest.raises((UsageError, DermedgeError), match=r"10\.0\.0\.1"), ray_start.joined_ray(address):
        pass


def _ray_runs_here() -> bool:
    commands = (Path(f"/proc/{pid}/cmdline") for pid in os.listdir("/proc") if pid.isdigit())
    found = []
    for command in commands:
        with suppress(OSError):  # it has ended meanwhile
            found.append(b"gcs_server" in command.read_bytes())
    return any(found)


@pytest.mark.skipif(sys.platform == "linux" and _ray_runs_here(), reason="somebody's Ray runs on this machine")
def test_no_cluster_here() -> None:
    pytest.importorskip("ray.data")
    with pytest.raises(DermedgeError, match="RAY_ADDRESS names none"), ray_start.joined_ray("auto"):
        pass
