"""Options of `export` that ask for a TensorRT engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])
_OPTIONS = (
    click.option("--engine", is_flag=True, help="Also a TensorRT-RTX engine beside the file; needs no GPU."),
    click.option("--gpu", "gpus", metavar="CARDS", help="Cards of the engine, as rtx4060; by default RTX 30, 40, 50."),
    click.option("--compute-capability", "capabilities", metavar="NUMBERS", help="The same by number, as 8.9,12.0."),
    click.option("--max-batch", type=click.IntRange(1, 1024), help="Largest batch of the engine.  [default: 32]"),
)


def engine_options(command: _Command) -> _Command:
    """Add the options to a command; it gets engine, gpus, capabilities and max_batch."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
