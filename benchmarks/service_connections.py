"""Does the service ask anything of the network? Every system call of its sockets, as strace sees them; Linux.

    python benchmarks/service_connections.py [--model box] [--out FILE]

The service and its decoding processes run under `strace -f -e trace=network`, over start, page, documents, predictions,
a batch, a refused upload, an audit log and the end. Listed: each connect() and each sendto() or sendmsg() with an
address, each socket that is neither local (AF_UNIX) nor the one that listens, and where bind() binds. A connect() to
anything is one too many; the exit code is 1 then. What was accepted is no connection of the service's own. The first
DICOM file makes a socket bind to ::1 and close again: pydicom imports requests where it is installed, which sees so
whether the machine has IPv6.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from mutated_uploads import seeds
from service_load import Server, answered, request

from dermedge_runtime import __version__
from dermedge_runtime.devices.cpu_instructions import cpu_name

_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")
_ADDRESSED = re.compile(r"sa_family=(AF_\w+)")
_PAGES = ("/", "/docs", "/openapi.json", "/v1/model", "/metrics", "/healthz")


async def use(port: int) -> dict[str, int]:
    """Ask for everything once; gives the statuses."""
    pictures = seeds()
    batch = request([pictures["jpeg"], pictures["dicom"], pictures["avif"]], "/v1/predict/batch", "images")
    asked = {path: b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n" % path.encode() for path in _PAGES}
    asked |= {name: request([content], "/v1/predict", "image") for name, content in pictures.items()}
    asked |= {"batch": batch, "refused": request([b"http://203.0.113.9/a.jpg"], "/v1/predict", "image")}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    statuses = {}
    for name, content in asked.items():
        writer.write(content)
        statuses[name] = await answered(reader)
    writer.close()
    return statuses


def calls(trace: str) -> dict[str, Any]:
    """Sort the lines of a trace."""
    counts: Counter[str] = Counter()
    connects, addressed, binds, opened = [], [], [], []
    for line in trace.splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        name, arguments = match.groups()
        counts[name] += 1
        if name == "connect":
            connects.append(arguments)
        elif name in ("sendto", "sendmsg", "sendmmsg") and _ADDRESSED.search(arguments):
            addressed.append(arguments)
        elif name == "bind":
            binds.append(arguments)
        elif name in ("socket", "socketpair") and not arguments.startswith("AF_UNIX"):
            opened.append(arguments)
    return {
        "calls": dict(sorted(counts.items())),
        "connect": connects,
        "sent to an address": addressed,
        "bind": binds,
        "sockets that are not local": opened,
    }


def main() -> None:
    """Run the service under strace, print and write what its sockets did."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="box", help="name of a model in the box, or a file")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if shutil.which("strace") is None:
        sys.exit("strace is not installed. On Debian: apt-get install strace")
    with tempfile.TemporaryDirectory(prefix="dermedge-") as name:
        folder = Path(name)
        under = ["strace", "-f", "-e", "trace=network", "-o", str(folder / "trace")]
        server = Server(options.model, folder, "--audit", "audit.jsonl", under=under)
        service = server.processes()[1]
        try:
            statuses = asyncio.run(use(server.port))
        finally:
            os.kill(service, signal.SIGTERM)  # strace ends with what it watches
            server.process.wait()
        found = calls((folder / "trace").read_text(encoding="utf-8", errors="replace"))
        answers = (folder / "audit.jsonl").read_text(encoding="utf-8").count('"event":"predicted"')
    record = {"dermedge": __version__, "cpu": cpu_name(), "statuses": statuses, "answers in the audit log": answers}
    text = json.dumps(record | found, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    sys.exit(1 if found["connect"] or found["sent to an address"] else 0)


if __name__ == "__main__":
    main()
