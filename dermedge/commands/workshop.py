"""The commands of the workshop as one application of Typer, and its errors as sentences.

They need the extra `train` or `export`; the dispatcher imports this module for their words alone. Heavy packages are
imported inside the commands, so that `dermedge train --help` stays fast.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer
import typer.main

from dermedge_runtime.commands.option_types import nearest
from dermedge_runtime.errors import UsageError

from .card import card
from .compare import compare
from .demo import demo
from .evaluate import evaluate
from .explain import explain
from .export import export
from .train import train

COMMANDS: dict[str, Callable[..., None]] = {
    "train": train,
    "evaluate": evaluate,
    "export": export,
    "explain": explain,
    "compare": compare,
    "card": card,
    "demo": demo,
}
_INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    :param arguments: its word, then its options.
    :return: the exit code.
    :raises UsageError: words that the command does not know or cannot read.
    :raises DermedgeError: whatever the command refuses.
    """
    return _run(group(), arguments)


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
    try:
        code = commands.main(list(arguments), prog_name="dermedge", standalone_mode=False)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except typer.TyperException as error:
        raise UsageError(_sentence(error)) from error
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    return int(code or 0)


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
