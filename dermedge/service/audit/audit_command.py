"""The options of `dermedge audit`: verify a log, or print its head."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge.service import SUMMARIES
from dermedge_runtime.commands.command_line import show
from dermedge_runtime.commands.command_parser import CommandParser
from dermedge_runtime.commands.option_types import nearest, path_text
from dermedge_runtime.errors import UsageError

if TYPE_CHECKING:
    from .verify_log import Verification

_ACTIONS = ("verify", "head")
_MOST_TOLD = 50
"""Faults, or notes, that are printed; the rest is counted."""


def parser() -> CommandParser:
    """Define the options."""
    defined = CommandParser(
        "audit",
        SUMMARIES["audit"],
        "verify FILE... names every line that was altered, taken out, moved, doubled or put in; the exit code is 0,"
        " or 1 where there is any. head FILE prints the hash of the last line: kept elsewhere, it shows later whether"
        " the end was cut off.",
    )
    defined.arguments(
        "verify|head FILE",
        path_text,
        fewest=1,
        dest="words",
        help="What to do, and the log's files in any order; its first file stands for all that lie beside it.",
    )
    defined.option("--expect", metavar="HASH", help="Head that was noted once; its line must still be there.")
    defined.flag("--json", dest="as_json", help="Print JSON instead of text.")
    return defined


def run(arguments: Sequence[str]) -> int:
    """Run `dermedge audit`.

    :param arguments: what follows the word.
    :return: the exit code; 1 where a log is not whole.
    :raises DermedgeError: whatever is refused.
    """
    options = parser().parse(arguments)
    if options is None:
        return 0
    action, *names = options.words
    if action not in _ACTIONS:
        raise UsageError(f"audit takes verify or head, got '{action}'{nearest(action, _ACTIONS)}")
    if not names or (action == "head" and len(names) > 1):
        raise UsageError(f"audit {action} takes {'one log' if action == 'head' else 'the files of a log'}. See"
                         " dermedge audit --help.")  # fmt: skip
    files = [Path(name) for name in names]
    if action == "head":
        if options.expect is not None:
            raise UsageError("--expect belongs to audit verify.")
        return _head(files[0], as_json=options.as_json)
    return _verify(files, None if options.expect is None else _hash(options.expect), as_json=options.as_json)


def _head(file: Path, *, as_json: bool) -> int:
    from .verify_log import head_of

    line, where = head_of(file)
    record = {"sha256": line.sha256, "line": line.seq, "file": where.name, "time": line.text("time")}
    show(json.dumps(record) if as_json else f"{line.sha256}  line {line.seq} of {where.name}, {line.text('time')}")
    return 0


def _verify(files: list[Path], expect: str | None, *, as_json: bool) -> int:
    from .verify_log import verify_log

    found = verify_log(files, expect)
    show(json.dumps(_record(found)) if as_json else "\n".join(_text(found, expect)))
    return 1 if found.faults else 0


def _hash(text: str) -> str:
    from .log_line import is_sha256

    if not is_sha256(text.lower()):
        raise UsageError("--expect takes a head as audit head prints it: 64 hexadecimal digits.")
    return text.lower()


def _record(found: Verification) -> dict[str, object]:
    times = [line.text("time") if line else None for line in (found.first, found.last)]
    return {
        "whole": not found.faults,
        "files": [str(file) for file in found.files],
        "lines": found.lines,
        "first": found.first.seq if found.first else None,
        "last": found.last.seq if found.last else None,
        "first_time": times[0],
        "last_time": times[1],
        "head": found.last.sha256 if found.last else None,
        "events": found.events,
        "expected_line": found.expected,
        "faults": [{"file": str(fault.file), "line": fault.number, "what": fault.what} for fault in found.faults],
        "notes": found.notes,
    }


def _text(found: Verification, expect: str | None) -> list[str]:
    told = _first([f"{fault.file}{f':{fault.number}' if fault.number else ''}: {fault.what}" for fault in found.faults])
    names = ", ".join(file.name for file in found.files)
    verdict = "whole" if not found.faults else f"NOT whole, {_counted(len(found.faults), 'fault')}"
    told.append(f"{names}: {verdict}; {_counted(found.lines, 'line')} in order")
    told += [f"  {note}" for note in _first(found.notes)]
    if found.first is not None and found.last is not None:
        told.append(
            f"  lines {found.first.seq} to {found.last.seq}, {found.first.text('time')} to {found.last.text('time')}"
        )
        told.append("  " + ", ".join(f"{event} {count}" for event, count in sorted(found.events.items())))
        told.append(f"  head {found.last.sha256}")
    if expect is not None and found.expected is not None and found.last is not None:
        after = _counted(found.last.seq - found.expected, "line")
        told.append(f"  the expected head is line {found.expected}; {after} came after it")
    elif expect is None and not found.faults:
        told.append("  whether its last lines were cut off shows only a head that was noted elsewhere: --expect")
    return told


def _first(told: list[str]) -> list[str]:
    more = len(told) - _MOST_TOLD
    return [*told[:_MOST_TOLD], f"and {more} more"] if more > 0 else told


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
