"""The entry of the command line: it looks at the first word, and imports what stands behind that word alone.

The commands of the edge need numpy, Pillow and ONNX Runtime; those of the workshop need an extra, and are told from
each other by their own parser. `dermedge --help` needs none of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from dermedge_runtime.commands.command_line import Command, run_command_line, unknown
from dermedge_runtime.commands.log_lines import say
from dermedge_runtime.errors import UsageError

from . import __version__
from .commands import SUMMARIES
from .require import extras

EDGE = {
    "infer": Command("Classify images of one patient, all in a folder, or - for standard input.", ".commands.edge"),
    "inspect": Command("Print what a model file, or an engine's description, says about itself.", ".commands.edge"),
    "doctor": Command("Tell what is installed, which devices run, what is wrong, how to mend it.", ".commands.edge"),
    "bench": Command("Compare model files and torch: latency, cold start, memory, size.", ".commands.edge"),
}
_HELP = """\
Usage: dermedge COMMAND [OPTIONS]

Train a skin-lesion classifier on image and clinical data, export it to one file, run it anywhere.
Research use only: not a medical device, not for diagnosis.

At the edge:
{edge}

In the workshop:
{workshop}

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit; after a command, its options."""


def main() -> None:
    """Run the command line."""
    run_command_line(dispatch)


def dispatch(arguments: Sequence[str]) -> int:
    """Run the command that the first word names.

    :return: the exit code.
    :raises DermedgeError: whatever the command refuses; a `UsageError` where there is no such command.
    """
    if not arguments:
        say(help_text())
        return UsageError.exit_code
    word = arguments[0]
    if word in ("-h", "--help"):
        print(help_text())  # noqa: T201
    elif word == "--version":
        print(f"dermedge, version {__version__}")  # noqa: T201
    elif word in EDGE:
        return int(import_module(EDGE[word].module, "dermedge").run(arguments))
    elif word in SUMMARIES:
        with extras("train" if word == "train" else "export"):
            from .commands.workshop import run
        return run(arguments)
    elif word.startswith("-"):
        raise UsageError(unknown("option", word, ("--help", "--version")))
    else:
        raise UsageError(unknown("command", word, (*EDGE, *SUMMARIES)))
    return 0


def help_text() -> str:
    """List all commands, and say what to install for those that miss something."""
    return _HELP.format(
        edge=_lines({name: command.summary for name, command in EDGE.items()}), workshop=_lines(SUMMARIES)
    )


def _lines(summaries: dict[str, str]) -> str:
    return "\n".join(f"  {name:<10}{summary}" for name, summary in summaries.items())


if __name__ == "__main__":
    main()
