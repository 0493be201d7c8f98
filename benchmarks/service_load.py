"""What does the service cost over `predict_each`, and does it stay up? Many clients at once, over real HTTP.

    python benchmarks/service_load.py --pictures FOLDER [--clients 64] [--seconds 60] [--requests 50000] [--model box]

The clients are bare sockets in a process of their own, so that the server's CPU time can be told apart. Rows: requests
a second and their latencies; the server's CPU time for a picture, and the ratio to that of `predict_each` on the same
files in one process; one client alone against `Classifier.predict` of the same bytes; pictures a second by
`/v1/predict/batch`, and the ratio to `predict_each`. With --requests the growth of the server's memory from the
1,000th request to the last.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dermedge_runtime import Classifier, model_in_the_box

_BOUNDARY = b"dermedge-benchmark"
_PAUSE_S = 0.06
"""Between two contenders: the threads of the one before spin for a while, and would take the CPUs of the next."""


def request(pictures: Sequence[bytes], path: str, part: str) -> bytes:
    """The bytes of one request."""
    parts = [b'--%b\r\nContent-Disposition: form-data; name="age"\r\n\r\n55\r\n' % _BOUNDARY]
    for number, content in enumerate(pictures):
        head = b'--%b\r\nContent-Disposition: form-data; name="%b"; filename="%d.jpg"\r\n\r\n'
        parts.append(head % (_BOUNDARY, part.encode(), number) + content + b"\r\n")
    body = b"".join(parts) + b"--%b--\r\n" % _BOUNDARY
    head = b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=%b\r\n"
    return head % (path.encode(), _BOUNDARY) + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def answered(reader: asyncio.StreamReader) -> int:
    """Read one response; gives its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))[15:])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


async def client(
    port: int, requests: Sequence[bytes], until: float, most: list[int], found: list[tuple[int, float]]
) -> None:
    """Ask again and again on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    number = id(reader) % len(requests)
    while time.perf_counter() < until and most[0] > 0:
        most[0] -= 1
        number = (number + 1) % len(requests)
        begun = time.perf_counter()
        writer.write(requests[number])
        await writer.drain()
        status = await answered(reader)
        found.append((status, time.perf_counter() - begun))
        if status == 503:
            await asyncio.sleep(0.05)
    writer.close()


async def load(
    port: int, requests: Sequence[bytes], clients: int, seconds: float, most: int = 1 << 60
) -> list[tuple[int, float]]:
    """Let many clients ask at once; gives status and seconds of every request."""
    found: list[tuple[int, float]] = []
    left = [most]
    until = time.perf_counter() + seconds
    await asyncio.gather(*(client(port, requests, until, left, found) for _ in range(clients)))
    return found


class Server:
    """A service as a process; what it says lies in FOLDER/serve.log."""

    def __init__(self, model: str, folder: Path, *arguments: str, under: Sequence[str] = ()) -> None:
        """Start it, and wait until it answers.

        :param under: a program, and its arguments, that runs it.
        """
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = int(taken.getsockname()[1])
        command = [*under, sys.executable, "-m", "dermedge", "serve", "--model", model, "--device", "cpu"]
        self.log = folder / "serve.log"
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *arguments], cwd=folder, stdout=stream, stderr=stream
            )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                    connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    if b" 200 " in connection.recv(100):
                        return
            except OSError:
                pass
            time.sleep(0.1)
        self.process.kill()
        raise SystemExit("the service did not start")

    def processes(self) -> list[int]:
        """The service and its decoding processes."""
        children = [
            int(child)
            for task in Path(f"/proc/{self.process.pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
        return [self.process.pid, *children]

    def cpu_seconds(self) -> float:
        """CPU time of the service and its decoding processes so far."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Memory of the service and its decoding processes."""
        pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.processes())
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_of_predict_each(files: Sequence[str], model: str) -> tuple[float, float]:
    """CPU seconds a picture, and pictures a second."""
    classifier = Classifier(model_in_the_box(model), "cpu")
    list(classifier.predict_each(files[:16], {"age": 55}))
    before, begun = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for answer in classifier.predict_each(files, {"age": 55}):
        json.dumps(answer.to_record(explain=True))
    after, seconds = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - begun
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu / len(files), len(files) / seconds


def latency_alone(server: Server, contents: Sequence[bytes], model: str, rounds: int = 100) -> tuple[float, float]:
    """Median milliseconds of one client's requests, and of `predict` of the same bytes; in turns."""
    classifier = Classifier(model_in_the_box(model), "cpu")
    asked = [request([content], "/v1/predict", "image") for content in contents]
    ours, theirs = [], []

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for number in range(rounds):
            content = contents[number % len(contents)]
            begun = time.perf_counter()
            classifier.predict(content, age=55).to_record(explain=True)
            theirs.append(time.perf_counter() - begun)
            await asyncio.sleep(_PAUSE_S)
            begun = time.perf_counter()
            writer.write(asked[number % len(contents)])
            await answered(reader)
            ours.append(time.perf_counter() - begun)
            await asyncio.sleep(_PAUSE_S)
        writer.close()

    asyncio.run(work())
    return statistics.median(ours) * 1000, statistics.median(theirs) * 1000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--model", default="box", help="name of a model in the box")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=0)
    options = parser.parse_args()
    files = [str(path) for path in sorted(options.pictures.rglob("*.jpg"))[:400]]
    contents = [Path(name).read_bytes() for name in files]
    singles = [request([content], "/v1/predict", "image") for content in contents]
    with tempfile.TemporaryDirectory(prefix="dermedge-") as folder:
        server = Server(options.model, Path(folder))
        try:
            ours, theirs = latency_alone(server, contents, options.model)
            print(f"one client: {ours:.1f} ms; predict of the same bytes: {theirs:.1f} ms; {ours - theirs:.1f} ms more")
            each_cpu, each_rate = cpu_of_predict_each(files, options.model)
            before = server.cpu_seconds()
            found = asyncio.run(load(server.port, singles, options.clients, options.seconds))
            cpu = server.cpu_seconds() - before
            statuses = Counter(status for status, _ in found)
            times = sorted(seconds for status, seconds in found if status == 200)
            p50, p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
            rate = len(times) / options.seconds
            print(f"{options.clients} clients, {options.seconds:g} s: {dict(statuses)}, {rate:.1f} a second")
            print(f"latency: p50 {1000 * p50:.0f} ms, p99 {1000 * p99:.0f} ms")
            own = cpu / len(times)
            told = f"CPU a picture: {1000 * own:.2f} ms; predict_each {1000 * each_cpu:.2f} ms"
            print(f"{told}; ratio {own / each_cpu:.2f}")
            pieces = [contents[start : start + 32] for start in range(0, len(contents) - 31, 32)]
            many = [request(piece, "/v1/predict/batch", "images") for piece in pieces]
            begun = time.perf_counter()
            batches = asyncio.run(load(server.port, many, 2, 600, len(many) * 2))
            rate = 32 * sum(status == 200 for status, _ in batches) / (time.perf_counter() - begun)
            _, again = cpu_of_predict_each(files, options.model)
            ratio = 2 * rate / (each_rate + again)
            print(f"batch: {rate:.1f} a second; predict_each {each_rate:.1f} and {again:.1f}; ratio {ratio:.2f}")
            if options.requests:
                asyncio.run(load(server.port, singles, 8, 1e9, 1000))
                first = server.resident_mb()
                asyncio.run(load(server.port, singles, 8, 1e9, options.requests - 1000))
                last = server.resident_mb()
                print(f"memory: {first:.1f} MB after 1,000 requests, {last:.1f} MB after {options.requests:,}")
                print(f"growth: {last / first - 1:+.1%}")
        finally:
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
