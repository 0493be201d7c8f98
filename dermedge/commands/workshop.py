"""The commands of the workshop as one application of Typer, and its errors as sentences.

They need the extra `train` or `export`; the dispatcher imports this module for their words alone. Heavy packages are
imported inside the commands, so that `dermedge train --help` stays fast.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer
import typer.main

from dermedge_runtime.commands.option_types import nearest
from dermedge_runtime.errors import UsageError

from .branches import branches
from .calibrate import calibrate
from .card import card
from .compare import compare
from .demo import demo
from .ensemble import ensemble
from .evaluate import evaluate
from .explain import explain
from .export import export
from .prior_shift import prior_shift
from .recipes import recipes
from .synthesise import synthesise
from .train import train

COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "branches": branches,
    "recipes": recipes,
    "ensemble": ensemble,
    "synthesise": synthesise,
    "prior-shift": prior_shift,
    "evaluate": evaluate,
    "export": export,
    "calibrate": calibrate,
    "explain": explain,
    "compare": compare,
    "card": card,
    "demo": demo,
}
_INTERRUPTED = 130
_HELP = ("-h", "--help")


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    :param arguments: its word, then its options.
    :return: the exit code.
    :raises UsageError: words that the command does not know or cannot read.
    :raises DermedgeError: whatever the command refuses.
    """
    commands = group()
    return _run(commands, _checked(commands.commands[arguments[0]], arguments))


def complete(arguments: Sequence[str], others: Mapping[str, str]) -> int:
    """Install, show or answer the completion of the shell: words of commands, options and choices.

    :param arguments: --install-completion or --show-completion; nothing where the shell asks.
    :param others: words of commands that are not of the workshop, with a line about each.
    """
    return _run(group(others, completion=True), arguments)


def group(others: Mapping[str, str] | None = None, *, completion: bool = False) -> Any:
    """Put the commands together, as Typer's group; its `commands` are theirs by name.

    :param others: words to complete that are no commands of this group, with a line about each.
    :param completion: with the options that install and show the completion of the shell.
    """
    app = typer.Typer(
        add_completion=completion,
        context_settings={"help_option_names": ["-h", "--help"]},
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    for word, command in COMMANDS.items():
        app.command(word)(command)
    for word, summary in (others or {}).items():
        app.command(word, help=summary)(lambda: None)
    return typer.main.get_command(app)


def _run(commands: Any, arguments: Sequence[str]) -> int:
    if os.environ.get("COLUMNS") == "0":  # as some terminals say that they do not know; Rich would write nothing
        del os.environ["COLUMNS"]
    try:
        code = commands.main(list(arguments), prog_name="dermedge", standalone_mode=False)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except typer.TyperException as error:
        raise UsageError(_sentence(error)) from error
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    return int(code or 0)


def _checked(command: Any, arguments: Sequence[str]) -> Sequence[str]:
    """Hold to what the commands of the edge do, where Typer does not: see `command_parser`.

    The help comes before every refusal; an option is no value of another one; a word too many is told in one sentence.

    :return: the words for Typer.
    :raises UsageError: a value is missing, or there is a word too many.
    """
    name, given = arguments[0], list(arguments[1:])
    before = given[: given.index("--")] if "--" in given else given
    if any(word in _HELP for word in before):
        return [name, "--help"]
    options = {text: each for each in command.params for text in (*each.opts, *each.secondary_opts)}
    arguments_of = [each for each in command.params if not each.opts[0].startswith("-")]
    takes, endless = [_name(each) for each in arguments_of], any(each.nargs < 0 for each in arguments_of)
    words: list[str] = []
    waiting = iter(given)
    for word in waiting:
        if word == "--":
            words += waiting
        elif word == "-" or not word.startswith("-"):
            words.append(word)
        elif word.partition("=")[0] not in options:
            return arguments  # Typer says so, with the nearest name
        elif word in options and not options[word].is_flag:
            _check_value(word, next(waiting, None), options)
    if len(words) > len(takes) and not endless:
        most = f"at most one {takes[0]}, got also" if takes else "no argument, got"
        raise UsageError(f"{name} takes {most} '{words[len(takes)]}'.")
    return arguments


def _check_value(option: str, value: str | None, options: Mapping[str, Any]) -> None:
    if value is not None and (value == "--" or value.partition("=")[0] in options):
        raise UsageError(f"{option} needs a value, got {value}; write {option}={value} if that is the value.")


def _sentence(error: Any) -> str:
    """Say what is wrong as the commands of the edge do: one sentence, with the nearest name."""
    context, param = error.ctx, getattr(error, "param", None)
    see = f" See dermedge {context.info_name} --help." if context else ""
    if hasattr(error, "possibilities"):  # an unknown option
        known = [name for each in context.command.params for name in (*each.opts, *each.secondary_opts)]
        ending = nearest(error.option_name, known)
        return f"No such option {error.option_name}{ending if ending != '.' else f'.{see}'}"
    if hasattr(error, "option_name"):  # a value too few or too many
        return f"{error.option_name} {'needs a' if 'requires' in error.message else 'takes no'} value."
    if param is not None and not error.message:  # one that is required
        return f"{context.info_name} needs {_name(param)}.{see}"
    if param is not None:
        return f"{_name(param)} {error.message}"
    return f"{str(error.format_message()).rstrip('.')}.{see}"


def _name(param: Any) -> str:
    return str(param.opts[0] if param.opts[0].startswith("-") else param.metavar)
