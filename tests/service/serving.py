"""A real service as a process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from make_tiny_model import TINY


class Running:
    """A service that answers."""

    def __init__(self, process: subprocess.Popen[str], address: str, log: Path) -> None:
        self.process, self.address, self._log = process, address, log

    @property
    def log(self) -> str:
        return self._log.read_text()


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def wait_until_ready(one: Running, process: subprocess.Popen[str] | None = None) -> None:
    """Wait for the first answer.

    :param process: another one at the same address.
    """
    process = process or one.process
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{one.address}/readyz", verify=False, timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError(f"it did not start ({process.poll()}): {one.log}")


@contextmanager
def running(
    folder: Path, *arguments: object, model: object = TINY, scheme: str = "http", **options
) -> Iterator[Running]:
    """Start `dermedge serve` as a process, wait until it is ready, and end it."""
    port, log = free_port(), folder / f"serve-{time.monotonic_ns()}.log"
    command = [
        sys.executable,
        "-m",
        "dermedge",
        "serve",
        "--model",
        model,
        "--device",
        "cpu",
        "--port",
        port,
        *arguments,
    ]
    with log.open("w") as stream:
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=folder,
            stdout=stream,
            stderr=stream,
            text=True,
            env=dict(os.environ),
            **options,
        )
    one = Running(process, f"{scheme}://127.0.0.1:{port}", log)
    try:
        wait_until_ready(one)
        yield one
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
