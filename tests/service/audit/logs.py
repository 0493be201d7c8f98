"""Logs of made-up answers."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dermedge.service.audit.audit_log import AuditLog, Written

MODEL = "a" * 64
VERSIONS = {"dermedge": "0.2.0", "onnxruntime": "1.24.1"}


@contextmanager
def full_at(size: int, process: int = 0) -> Iterator[None]:
    """Let no file grow beyond a size: the system writes what fits, and then refuses, as a full disk does.

    :param process: by its number; 0: this one.
    """
    process = process or os.getpid()
    limits = resource.prlimit(process, resource.RLIMIT_FSIZE)
    resource.prlimit(process, resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.prlimit(process, resource.RLIMIT_FSIZE, limits)


def answer(log: AuditLog, number: int) -> Written | None:
    """Write what a service writes for one picture."""
    return log.append(
        "predicted",
        model_sha256=MODEL,
        versions=VERSIONS,
        picture_sha256=f"{number:064x}",
        label=("mel", "nv")[number % 2],
        decision=("refer", "routine")[number % 2],
        device="cpu",
    )


def write_log(path: Path, answers: int, largest: int = 1 << 20) -> list[bytes]:
    """Write a log of one start, some answers and one stop; give its lines with their ends, of all files."""
    from dermedge.service.audit.log_files import files_of

    with AuditLog(path, largest=largest) as log:
        log.append("started", model_sha256=MODEL, versions=VERSIONS)
        for number in range(answers):
            answer(log, number)
        log.append("stopped")
    return [line for file in files_of(path) for line in file.read_bytes().splitlines(keepends=True)]
