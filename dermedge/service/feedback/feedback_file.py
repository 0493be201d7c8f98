"""The file of a study: JSON lines, the first about the model, then an event each.

A last line without an end was torn when a process or a machine stopped: it counts for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import InputRejected

from .study import Study

FORMAT = "dermedge feedback 1"
_START = b'{"event":"begun"'


def line_of(record: Mapping[str, Any]) -> bytes:
    """Give the bytes of an event, with the line's end."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"


def read_feedback(path: Path) -> Study:
    """Read a file.

    :raises InputRejected: it cannot be read, or is no such file; names the line.
    """
    name = shown(path.name)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputRejected(f"Cannot read {shown(str(path))}: {error.strerror or error}.") from error
    study = study_of(content, name)
    if study is None:
        raise InputRejected(f"{name} holds no line yet.")
    return study


def study_of(content: bytes, name: str) -> Study | None:
    """Read what a file holds; None: not one whole line.

    :param name: of the file, for messages.
    :raises InputRejected: it is no feedback file, or a line is damaged.
    """
    *lines, torn = content.split(b"\n")
    if not lines:
        if torn[: len(_START)] != _START[: len(torn)]:
            raise _no_feedback_file(name)
        return None
    study = _begun(_record(lines[0]), name)
    for number, line in enumerate(lines[1:], 2):
        record = _record(line)
        if record is None:
            raise InputRejected(f"Line {number} of {name} is damaged: it is no record in JSON.")
        if record.get("event") == "repaired":
            continue
        try:
            study.take(record)
        except InputRejected as error:
            raise InputRejected(f"Line {number} of {name} is none of a study: {error}") from error
    return study


def _begun(record: Mapping[str, Any] | None, name: str) -> Study:
    if record is None or record.get("event") != "begun" or record.get("format") != FORMAT:
        raise _no_feedback_file(name)
    classes, names = record.get("classes"), record.get("class_names")
    if not isinstance(classes, list) or not isinstance(names, dict) or not all(isinstance(c, str) for c in classes):
        raise _no_feedback_file(name)
    return Study(str(record.get("model")), str(record.get("model_sha256")), tuple(classes), names)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _no_feedback_file(name: str) -> InputRejected:
    return InputRejected(
        f"{name} is no feedback file of dermedge: it does not begin as dermedge serve --feedback does."
    )
