"""The options of `dermedge doctor`."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dermedge_runtime.devices.providers import PROVIDERS

from .command_line import show
from .command_list import RUNTIME_SUMMARIES
from .command_parser import CommandParser
from .option_types import one_of


def parser() -> CommandParser:
    """Define the options."""
    defined = CommandParser("doctor", RUNTIME_SUMMARIES["doctor"])
    devices = tuple(PROVIDERS)
    defined.option("--device", one_of(devices), metavar="DEVICE", help=f"Check this one only: {', '.join(devices)}.")
    defined.flag("--json", dest="as_json", help="Print JSON instead of text.")
    return defined


def run(arguments: Sequence[str]) -> int:
    """Run `dermedge doctor`.

    :param arguments: what follows the word.
    :return: the exit code, as `doctor.exit_code` gives it.
    :raises DermedgeError: whatever is refused.
    """
    options = parser().parse(arguments)
    if options is None:
        return 0
    from .doctor import doctor_text, examine, exit_code

    record = examine([options.device] if options.device else None)
    show(json.dumps(record, indent=2, allow_nan=False) if options.as_json else doctor_text(record))
    return exit_code(record, options.device)
