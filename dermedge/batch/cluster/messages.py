"""What goes to a worker and what comes back, as tables of JSON and bytes: whoever reads it runs nothing of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from dermedge.batch.census import KnownFile
from dermedge_runtime import errors
from dermedge_runtime.errors import DermedgeError

_FILES, _ANSWER, _ROWS = "files", "answer", "rows"
_FAILURES = {kind.__name__: kind for kind in vars(errors).values() if isinstance(kind, type)}


@dataclass(frozen=True, slots=True)
class BlockAnswer:
    """What became of a block."""

    rows: bytes
    """An Arrow stream."""
    files: int
    seconds: float
    """From the time when the worker took it."""
    worker: str
    said: tuple[str, ...] = ()
    """Warnings, as a person should see them."""
    failure: DermedgeError | None = None
    """Why there are no rows, and can be none here; Ray makes text of what is raised."""


def files_table(files: Sequence[KnownFile]) -> Any:
    """Pack files into a table of one cell."""
    import pyarrow

    return pyarrow.table({_FILES: [json.dumps([asdict(file) for file in files])]})


def files_of(block: Any) -> list[KnownFile]:
    """Unpack what `files_table` gave, one table or several put together."""
    return [KnownFile(**each) for cell in block[_FILES].to_pylist() for each in json.loads(cell)]


def answer_table(answer: BlockAnswer) -> Any:
    """Pack an answer into a table of one row."""
    import pyarrow

    failure = answer.failure
    told = {
        "files": answer.files,
        "seconds": answer.seconds,
        "worker": answer.worker,
        "said": answer.said,
        "failure": None if failure is None else [type(failure).__name__, str(failure)],
    }
    rows = pyarrow.array([answer.rows], pyarrow.large_binary())
    return pyarrow.table({_ANSWER: pyarrow.array([json.dumps(told)]), _ROWS: rows})


def answers_of(batch: Any) -> list[BlockAnswer]:
    """Unpack what `answer_table` gave, one table or several put together."""
    found = []
    for text, rows in zip(batch[_ANSWER].to_pylist(), batch[_ROWS].to_pylist(), strict=True):
        told = json.loads(text)
        failure = None
        if told["failure"] is not None:
            kind, message = told["failure"]
            failure = _FAILURES.get(kind, DermedgeError)(message)
        found.append(BlockAnswer(rows, told["files"], told["seconds"], told["worker"], tuple(told["said"]), failure))
    return found
