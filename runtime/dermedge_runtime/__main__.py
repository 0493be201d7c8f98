"""`python -m dermedge_runtime` has the commands of `dermedge` that need this package alone: infer, inspect, doctor."""

from __future__ import annotations

from functools import partial

from .commands.command_line import run_command_line
from .commands.command_list import RUNTIME_SUMMARIES, Group, dispatch, runtime_command, runtime_missing

_ABOUT = "Run dermedge's model files. Research use only: not a medical device, not for diagnosis."


if __name__ == "__main__":
    _GROUP = Group("Commands", RUNTIME_SUMMARIES, runtime_command, runtime_missing)
    run_command_line(partial(dispatch, _ABOUT, (_GROUP,)))
