"""The words that a command line knows: their list for `--help`, and what each of them runs.

What stands behind a word is imported when it is asked for, so that the list needs none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from dermedge_runtime import __version__
from dermedge_runtime.errors import DermedgeError, UsageError

from .command_line import say, show

RUNTIME_SUMMARIES = {
    "infer": "Classify images of one patient, all in a folder, or - for standard input.",
    "inspect": "Print everything a model file, or an engine's description, says about itself.",
    "doctor": "Tell what is installed, which devices really run, what is wrong, and how to mend it.",
}
"""Commands that need this package alone, one line each; `infer_command.py` and so on stand behind them."""


class Group(NamedTuple):
    """Commands that need the same packages."""

    title: str
    summaries: Mapping[str, str]
    """One line for every word."""
    run: Callable[[str, Sequence[str]], int]
    """Takes a word and what follows it; gives the exit code."""
    missing: Callable[[], str]
    """Say what is not installed and how to install it; empty where nothing is missing."""


def runtime_command(word: str, arguments: Sequence[str]) -> int:
    """Run a command of `RUNTIME_SUMMARIES`.

    :raises DermedgeError: a package that every install brings is missing; or whatever the command refuses.
    """
    try:
        return int(import_module(f".{word}_command", __package__).run(arguments))
    except ModuleNotFoundError as error:
        if error.name not in ("numpy", "PIL"):
            raise
        distribution = {"PIL": "pillow"}.get(error.name, error.name)
        raise DermedgeError(f"{distribution} is not installed. Run: pip install {distribution}") from error


def runtime_missing() -> str:
    """Say that ONNX Runtime is not installed, and how to install it; empty where it is."""
    return "" if is_there("onnxruntime") else "ONNX Runtime is not installed. Run: pip install 'dermedge[cpu]'"


def is_there(module: str) -> bool:
    """Tell whether a package can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # a finder that refuses, or a module without a specification
        return False


def dispatch(about: str, groups: Sequence[Group], arguments: Sequence[str]) -> int:
    """Run the command that the first word names.

    :param about: what the help says first.
    :param arguments: what follows the program's name.
    :return: the exit code.
    :raises DermedgeError: whatever the command refuses; a `UsageError` where there is no such command.
    """
    if not arguments:
        say(help_text(about, groups))
        return UsageError.exit_code
    word = arguments[0]
    for group in groups:
        if word in group.summaries:
            from .log_lines import log_on_stderr

            with log_on_stderr():
                return group.run(word, arguments[1:])
    if word in ("-h", "--help"):
        show(help_text(about, groups))
    elif word == "--version":
        show(f"dermedge, version {__version__}")
    else:
        raise UsageError(_unknown(arguments, [name for group in groups for name in group.summaries]))
    return 0


def _unknown(arguments: Sequence[str], commands: Sequence[str]) -> str:
    from .option_types import nearest
    from .shown_names import shown

    word = arguments[0]
    what, known = ("option", ("--help", "--version")) if word.startswith("-") else ("command", commands)
    ending, named = nearest(word, known), shown(word) or "''"
    if what == "option" and ending == "." and (after := [each for each in arguments if each in commands]):
        return f"The option {named} stands before the command; write dermedge {after[0]} {named} ..."
    return f"No such {what} {named}{ending if ending != '.' else '. See dermedge --help.'}"


def help_text(about: str, groups: Sequence[Group]) -> str:
    """List all commands, one line each, and say what to install for those that miss something."""
    parts = ["Usage: dermedge COMMAND [OPTIONS]", about]
    for group in groups:
        lines = [f"{group.title}:", *(f"  {name:<13}{summary}" for name, summary in group.summaries.items())]
        if missing := group.missing():
            lines.append(f"  {missing}")
        parts.append("\n".join(lines))
    parts.append(
        "Options:\n"
        "  --version   Show the version and exit.\n"
        "  -h, --help  Show this message, or after a command its options, and exit."
    )
    return "\n\n".join(parts)
