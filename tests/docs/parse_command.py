"""The real parsers of the command line, asked whether they take a command; nothing is run.

The only file of these tests that knows how the command line is made: the commands of the edge have a `CommandParser`
each, those of the workshop are one group.
"""

import contextlib
import io
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dermedge import cli
from dermedge.batch import infer_command
from dermedge.bench import bench_command
from dermedge.commands import workshop
from dermedge.evaluation.reader_study import feedback_command
from dermedge.service import serve_command
from dermedge.service.audit import audit_command
from dermedge.service.signing import sign_command, verify_command
from dermedge_runtime.commands import doctor_command, inspect_command
from dermedge_runtime.commands.command_parser import CommandParser
from dermedge_runtime.errors import UsageError

_EDGE: dict[str, Callable[[], CommandParser]] = {
    "infer": infer_command.parser,
    "inspect": inspect_command.parser,
    "doctor": doctor_command.parser,
    "bench": bench_command.parser,
    "serve": serve_command.parser,
    "sign": sign_command.parser,
    "verify": verify_command.parser,
    "audit": audit_command.parser,
    "feedback": feedback_command.parser,
}
_WORKSHOP: dict[str, Any] = workshop.group().commands
_ALONE = [[word] for word in ("--help", "-h", "--version", *cli._COMPLETION)]
"""What can stand after `dermedge` without a command."""


def commands() -> tuple[str, ...]:
    """Names of all commands."""
    return (*_EDGE, *_WORKSHOP)


def check(arguments: Sequence[str]) -> None:
    """Parse what follows the word `dermedge`.

    :raises ValueError: the parser refuses it; the message is the parser's own.
    """
    word, *rest = arguments or [""]
    if word in _EDGE:
        _check_edge(word, rest)
    elif word in _WORKSHOP:
        _check_workshop(word, rest)
    elif list(arguments) not in _ALONE:
        raise ValueError(f"there is no command {word}")


def _check_edge(word: str, arguments: list[str]) -> None:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # --help prints
            _EDGE[word]().parse(arguments)
    except UsageError as error:
        raise ValueError(str(error)) from error


def _check_workshop(word: str, arguments: list[str]) -> None:
    named = {argument.partition("=")[0] for argument in arguments}
    if former := named & _names(
        parameter for parameter in _WORKSHOP[word].params if getattr(parameter, "hidden", False)
    ):
        raise ValueError(f"{', '.join(former)} is hidden: it has another name now")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            _WORKSHOP[word].make_context(word, arguments)
    except Exception as error:
        if not hasattr(error, "format_message"):
            if getattr(error, "exit_code", None) == 0:  # --help
                return
            raise
        raise ValueError(error.format_message()) from error


def options(command: str) -> list[tuple[str, str]]:
    """Options of a command as its help shows them: names with the kind of value, and what they do."""
    if command in _EDGE:
        shown = [
            (" ".join(filter(None, (", ".join(action.option_strings), action.metavar))), action.help % vars(action))
            for action in _edge_actions(command)
        ]
    else:
        context = _WORKSHOP[command].make_context(command, [], resilient_parsing=True)
        records = (parameter.get_help_record(context) for parameter in _WORKSHOP[command].get_params(context))
        shown = [record for record in records if record and record[0].startswith("-")]
    return [(names, " ".join(text.split())) for names, text in shown]


def option_names() -> set[str]:
    """Every option of any command, such as `--age`."""
    parameters = (parameter for command in _WORKSHOP.values() for parameter in command.params)
    named = _names(parameter for parameter in parameters if not getattr(parameter, "hidden", False))
    named |= {name for command in _EDGE for action in _edge_actions(command) for name in action.option_strings}
    return {name for name in named if name.startswith("--")} | {"--help", "--version", *cli._COMPLETION}


def _names(parameters: Iterable[Any]) -> set[str]:
    return {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)}


def _edge_actions(command: str) -> list[Any]:
    return [action for action in _EDGE[command]()._argparse._actions if action.option_strings]
