"""Does the service hold against what it is not meant to get? Three parts, repeatable by --seed; JSON into --out.

    python benchmarks/service_fuzz.py [--cases 2000] [--uploads 20000] [--kills 25] [--seed 1] [--model box]
        [--out FILE]

cases: schemathesis makes requests from /openapi.json, right and wrong ones, and checks the answers by all of its checks
but `positive_data_acceptance` (a picture made of random letters is right by the document, and refused). It lies in an
environment of its own: `pipx install schemathesis`. uploads: broken pictures and forms (`mutated_uploads.py`); any
answer of 500 and more but 503, any traceback, and any request without an answer is a fault. kills: a service that
writes its audit log under load is killed (SIGKILL) at random moments; the log must be whole each time, and hold every
answer that a client saw. The exit code is 1 where there is a fault.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from mutated_uploads import mutated_upload, seeds
from service_load import Server, answered, request

from dermedge.service.audit.verify_log import verify_log
from dermedge_runtime import __version__
from dermedge_runtime.devices.cpu_instructions import cpu_name

_HUNG_S = 20.0
"""The service gives a request up after 10 s."""
_AT_ONCE = 4
_MOST_SHOWN = 20
_CHECKS = ("--checks", "all", "--exclude-checks", "positive_data_acceptance")
_PHASES = ("--phases", "examples,coverage,fuzzing")


def fuzz_document(model: str, cases: int, seed: int, folder: Path) -> dict[str, Any]:
    """Let schemathesis ask.

    :param cases: about how many: two of the operations take bodies, and get half of them each.
    """
    program = shutil.which("schemathesis")
    if program is None:
        sys.exit("schemathesis is not on the PATH. Run: pipx install schemathesis; or leave it out with --cases 0")
    server, report = Server(model, folder), folder / "report.json"
    command = ["schemathesis", "run", f"http://127.0.0.1:{server.port}/openapi.json", *_CHECKS, *_PHASES]
    command += ["--seed", str(seed), "-n", str(max(1, cases // 2)), "--continue-on-failure", "--no-color"]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(Path(__file__).parent)}
    try:
        subprocess.run(
            [program, *command[1:], "--report", "json", "--report-json-path", str(report)],
            cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if not report.exists():
            sys.exit("schemathesis made no report; run its command by hand: " + " ".join(command))
        told = json.loads(report.read_text(encoding="utf-8"))
        alive = server.process.poll() is None
    finally:
        server.process.terminate()
        server.process.wait()
    faults = [str(each)[:500] for each in (*told["failures"], *told["errors"])]
    faults += [] if told["complete"] and alive else ["the run did not reach its end"]
    return {
        "command": " ".join(command).replace(f":{server.port}", ":PORT"),
        "schemathesis": told["schemathesis_version"],
        "test cases": told["test_cases"],
        "accepted and rejected": told["valid_rates"],
        "seconds": round(told["running_time"], 1),
        "faults": faults,
    }


async def _ask(port: int, content: bytes) -> tuple[str, bytes]:
    """Send one request; gives the status, or what came instead, and the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(content)
        answer = await asyncio.wait_for(reader.read(), _HUNG_S)
    except TimeoutError:
        return "hung", b""
    except ConnectionError:
        return "connection closed", b""
    finally:
        writer.close()
    return (answer.split(b" ", 2)[1].decode() if answer.startswith(b"HTTP/1.1 ") else "no answer"), answer


def fuzz_uploads(model: str, count: int, seed: int, folder: Path) -> dict[str, Any]:
    """Send broken pictures and forms."""
    pictures = seeds()
    server = Server(model, folder)
    whole = {name: request([content], "/v1/predict", "image") for name, content in pictures.items()}
    statuses: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {}
    faults: list[str] = []
    slowest = (0.0, -1, "")
    numbers = iter(range(count))

    async def work() -> None:
        nonlocal slowest
        for number in numbers:
            case, begun = mutated_upload(seed, number, pictures), time.perf_counter()
            status, answer = await _ask(server.port, case.request)
            slowest = max(slowest, (time.perf_counter() - begun, number, case.kind))
            statuses[status] += 1
            kinds.setdefault(case.kind, Counter())[status] += 1
            if not status.isdigit() or (int(status) >= 500 and status != "503") or b"Traceback" in answer:
                faults.append(f"{number} ({case.kind}): {status} {answer[-200:]!r}")

    async def together() -> None:
        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))

    async def all_whole() -> dict[str, str]:
        closing = {name: each.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) for name, each in whole.items()}
        return {name: (await _ask(server.port, each))[0] for name, each in closing.items()}

    try:
        before, begun = asyncio.run(all_whole()), time.perf_counter()
        asyncio.run(together())
        seconds = time.perf_counter() - begun
        alive = server.process.poll() is None
        after = asyncio.run(all_whole()) if alive else {}
    finally:
        server.process.terminate()
        server.process.wait()
    log = server.log.read_text(encoding="utf-8", errors="replace")
    if before != after or after["jpeg"] != "200":
        faults.append(f"whole pictures: {before}, then {after}")
    faults += ["a traceback is in the log of the service"] if "Traceback" in log else []
    return {
        "requests": count,
        "by status": dict(sorted(statuses.items())),
        "by kind": {kind: dict(sorted(found.items())) for kind, found in sorted(kinds.items())},
        "decoding processes replaced": log.count("was replaced"),
        "slowest": {"seconds": round(slowest[0], 2), "number": slowest[1], "kind": slowest[2]},
        "seconds": round(seconds, 1),
        "alive at the end": alive,
        "faults": faults[:_MOST_SHOWN],
        "number of faults": len(faults),
    }


async def _load_until_killed(server: Server, content: bytes, after_s: float) -> tuple[int, int]:
    """Ask on a few connections, and kill the service some time after its first answer.

    :return: requests sent, and answers seen.
    """
    sent = seen = 0
    first = asyncio.Event()

    async def client() -> None:
        nonlocal sent, seen
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        try:
            while True:
                sent += 1
                writer.write(content)
                await writer.drain()
                status = await answered(reader)
                seen += status == 200
                first.set()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()

    clients = [asyncio.create_task(client()) for _ in range(_AT_ONCE)]
    await asyncio.wait_for(first.wait(), _HUNG_S)
    await asyncio.sleep(after_s)
    server.process.kill()
    await asyncio.gather(*clients)
    return sent, seen


def kill_under_load(model: str, kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """Kill a service again and again, and look at its one audit log each time."""
    random, log, faults = Random(seed), folder / "audit.jsonl", []
    content = request([seeds()["jpeg"]], "/v1/predict", "image")
    sent = seen = lines = orphans = 0
    for kill in range(kills):
        server = Server(model, folder, "--audit", str(log))
        children = server.processes()[1:]
        more_sent, more_seen = asyncio.run(_load_until_killed(server, content, random.uniform(0.0, 1.5)))
        server.process.wait()
        sent, seen = sent + more_sent, seen + more_seen
        found = verify_log([log])
        lines = found.events.get("predicted", 0)
        faults += [f"kill {kill}: {fault.file.name}:{fault.number}: {fault.what}" for fault in found.faults]
        if not seen <= lines <= sent:
            faults.append(f"kill {kill}: {seen} answers were seen and {sent} requests sent; {lines} lines")
        orphans += _still_there(children)
    last = Server(model, folder, "--audit", str(log))  # the last kill too is started again after
    last.process.terminate()
    last.process.wait()
    command = [sys.executable, "-m", "dermedge", "audit", "verify", str(log)]
    verified = subprocess.run(command, capture_output=True, text=True, check=False)
    faults += [verified.stdout] if verified.returncode else []
    faults += [f"{orphans} decoding processes outlived their service"] if orphans else []
    return {
        "kills": kills,
        "requests sent": sent,
        "answers seen": seen,
        "lines predicted": lines,
        "audit verify": verified.stdout.splitlines()[:1],
        "faults": faults,
    }


def _still_there(processes: list[int], seconds: float = 5.0) -> int:
    """How many of some processes do not end."""
    end = time.monotonic() + seconds
    while (left := sum(map(_runs, processes))) and time.monotonic() < end:
        time.sleep(0.05)
    return left


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # it has ended, and nobody has asked how


def main() -> None:
    """Do all parts, print and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="box", help="name of a model in the box, or a file")
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--uploads", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    record: dict[str, Any] = {"dermedge": __version__, "cpu": cpu_name(), "seed": options.seed}
    parts = {
        "document": (fuzz_document, options.cases),
        "uploads": (fuzz_uploads, options.uploads),
        "kills": (kill_under_load, options.kills),
    }
    for name, (part, count) in parts.items():
        if count:
            with tempfile.TemporaryDirectory(prefix="dermedge-") as folder:
                record[name] = part(options.model, count, options.seed, Path(folder))
    text = json.dumps(record, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    sys.exit(any(record[name]["faults"] for name in parts if name in record))


if __name__ == "__main__":
    main()
