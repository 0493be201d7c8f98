"""Run a command as a whole process: results on standard output, everything else on standard error, an exit code.

Exit codes: 0 fine, 1 failed, 2 usage, 3 input rejected, 4 model file invalid, 5 device not available, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from dermedge_runtime.errors import DermedgeError

_LONGEST_WORD, _LEFT_OF_IT = 1000, 100
"""Characters; paths are shorter than the former almost everywhere."""


def run_command_line(dispatch: Callable[[Sequence[str]], int]) -> NoReturn:
    """Call a dispatcher with this process's arguments; every foreseen error is one sentence and its exit code.

    :param dispatch: takes the arguments after the program's name, gives the exit code.
    """
    for stream in (sys.stdout, sys.stderr):
        # A file name that the terminal's encoding lacks must not end in a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = dispatch(sys.argv[1:])
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        say("dermedge: stopped.")
        code = 130
    except DermedgeError as error:
        say(f"dermedge: {_readable(str(error))}")
        code = error.exit_code
    except BrokenPipeError:
        print_into_nothing()
        code = 1
    except OSError as error:
        say(_readable(f"dermedge: {error.strerror or error}{f': {error.filename}' if error.filename else ''}."))
        code = 1
    sys.exit(code)


def _readable(text: str) -> str:
    """Keep what a user has typed from driving the terminal, or from hiding the sentence that it stands in."""
    from .shown_names import shown

    words = (word if len(word) < _LONGEST_WORD else f"{word[:_LEFT_OF_IT]}..." for word in text.split(" "))
    return "\n".join(shown(line) for line in " ".join(words).split("\n"))


def show(text: str) -> None:
    """Print a result on standard output, at once: what cannot be printed is known before the next one is made.

    :raises OSError: standard output is full, or its reader went away.
    """
    print(text, flush=True)  # noqa: T201, this is where results are printed


def say(line: str) -> None:
    """Print a line on standard error; where that is closed or full, the work goes on without."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(line, file=sys.stderr, flush=True)  # noqa: T201


def print_into_nothing() -> None:
    """Let standard output go nowhere: its reader went away, as `| head` does.

    What is still printed must not fail, and neither must the interpreter, which flushes at exit.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
