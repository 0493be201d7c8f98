"""The service opens no way out: nothing but the socket it listens on, and those that come to it."""

import os
from pathlib import Path

import httpx
import pytest
from batch.pictures import encoded
from make_tiny_model import SIZE
from service.serving import Running, running

_WATCH = """
import os, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"):
        with open(os.environ["WATCHED"], "a") as stream:
            print(os.getpid(), event, arguments[1:], file=stream)
    elif event == "socket.bind":
        with open(os.environ["WATCHED"], "a") as stream:
            print(os.getpid(), event, arguments[1], file=stream)
sys.addaudithook(watch)
with open(os.environ["WATCHED"], "a") as stream:
    print(os.getpid(), "watched", file=stream)
"""
"""Every process of Python that starts imports it, the decoding processes too."""


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file into which every process started from here on writes what its sockets do."""
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(_WATCH)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "hook"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("WATCHED", str(tmp_path / "watched"))
    return tmp_path / "watched"


def _remote_ends(service: Running) -> set[str]:
    """States of all TCP sockets of the service's namespace that its processes hold, by /proc/net/tcp."""
    held = set()
    tasks = Path(f"/proc/{service.process.pid}/task").iterdir()
    children = [child for task in tasks for child in (task / "children").read_text().split()]
    for pid in (str(service.process.pid), *children):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(link)
            if target.startswith("socket:["):
                held.add(target[8:-1])
    lines = [line.split() for name in ("tcp", "tcp6", "udp", "udp6") for line in _table(name)]
    port = f":{int(service.address.rpartition(':')[2]):04X}"
    return {line[1] for line in lines if line[9] in held and not line[1].endswith(port)}


def _table(name: str) -> list[str]:
    path = Path("/proc/net") / name
    return path.read_text().splitlines()[1:] if path.exists() else []


def test_nothing_goes_out(watched: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    with (
        running(tmp_path, "--workers", 1, "--audit", log) as one,
        httpx.Client(base_url=one.address, timeout=20) as client,
    ):
        for path in ("/", "/docs", "/openapi.json", "/v1/model", "/metrics", "/healthz"):
            assert client.get(path).status_code == 200, path
        picture = {"image": ("a.jpg", encoded(1, "JPEG"))}
        assert client.post("/v1/predict", files=picture, data={"age": "55"}).status_code == 200
        assert client.post("/v1/predict/batch", files=[("images", encoded(n)) for n in range(3)]).status_code == 200
        assert client.post("/v1/predict", files={"image": b"http://203.0.113.9/a.jpg"}).status_code == 415
        tensor = {"name": "image", "datatype": "UINT8", "shape": [1, SIZE, SIZE, 3], "data": [0] * (SIZE * SIZE * 3)}
        assert client.post("/v2/models/tiny/infer", json={"inputs": [tensor]}).status_code == 200
        assert _remote_ends(one) == set()
    lines = [line.split(" ", 2) for line in watched.read_text().splitlines()]
    processes = {pid for pid, event, *_ in lines if event == "watched"}
    assert len(processes) >= 2  # the service and its decoder at least, or nothing was watched
    port = one.address.rpartition(":")[2]
    does = [(event, what) for _, event, *what in lines if event != "watched"]
    assert does == [("socket.bind", [f"('127.0.0.1', {port})"])]
