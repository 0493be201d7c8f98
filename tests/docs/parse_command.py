"""The real parser of the command line, asked whether it takes a command; nothing is run.

The only file of these tests that knows how the command line is made.
"""

from collections.abc import Sequence

import click

from dermedge.commands import edge, workshop

_COMMANDS: dict[str, click.Command] = edge.cli.commands | workshop.cli.commands


def commands() -> tuple[str, ...]:
    """Names of all commands."""
    return tuple(sorted(_COMMANDS))


def check(arguments: Sequence[str]) -> None:
    """Parse what follows the word `dermedge`.

    :raises ValueError: the parser refuses it; the message is the parser's own.
    """
    try:
        if list(arguments) in (["--help"], ["-h"], ["--version"]):
            return
        if not arguments or arguments[0] not in _COMMANDS:
            raise ValueError(f"there is no command {' '.join(arguments[:1])}")
        _COMMANDS[arguments[0]].make_context(arguments[0], list(arguments[1:]))
    except click.exceptions.Exit:  # --help and --version
        return
    except click.ClickException as error:
        raise ValueError(error.format_message()) from error


def options(command: str) -> list[tuple[str, str]]:
    """Options of a command as its help shows them: names with the kind of value, and what they do."""
    context = click.Context(_COMMANDS[command], info_name=command)
    records = (parameter.get_help_record(context) for parameter in _COMMANDS[command].get_params(context))
    named = [(names, " ".join(text.split())) for names, text in filter(None, records)]
    return [(names, text) for names, text in named if names.startswith("-")]


def option_names() -> set[str]:
    """Every option of any command, such as `--age`."""
    parameters = (parameter for command in _COMMANDS.values() for parameter in command.params)
    named = {name for parameter in parameters for name in (*parameter.opts, *parameter.secondary_opts)}
    return {name for name in named if name.startswith("--")} | {"--help", "--version"}
