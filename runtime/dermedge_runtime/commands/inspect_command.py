"""The options of `dermedge inspect`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .command_line import say, show
from .command_list import RUNTIME_SUMMARIES
from .command_parser import CommandParser
from .option_types import model


def parser() -> CommandParser:
    """Define the options."""
    defined = CommandParser("inspect", RUNTIME_SUMMARIES["inspect"])
    defined.arguments(
        "MODEL", model, most=1, help="Model file, engine, or the name of a model in the box; by default box."
    )
    defined.flag("--json", dest="as_json", help="Print JSON instead of text.")
    return defined


def run(arguments: Sequence[str]) -> int:
    """Run `dermedge inspect`.

    :param arguments: what follows the word.
    :return: the exit code.
    :raises DermedgeError: whatever is refused.
    """
    options = parser().parse(arguments)
    if options is None:
        return 0
    from dermedge_runtime.model.shipped_model import model_in_the_box

    from .inspection import inspection_text

    record = _record(options.model[0] if options.model else model_in_the_box())
    text = json.dumps(record, indent=2, allow_nan=False) if options.as_json else inspection_text(record)
    show(text)
    return 0


def _record(path: Path) -> dict[str, Any]:
    from dermedge_runtime.model.engine_description import SUFFIX, inspect_engine
    from dermedge_runtime.model.model_file import read_model_file

    from .inspection import inspection_record

    if path.suffix.lower() != SUFFIX:
        return inspection_record(read_model_file(path))
    record, findings = inspect_engine(path)
    for finding in findings:
        say(finding)
    return record
