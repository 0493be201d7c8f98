"""Options of one command of the edge, with the standard library's parser: each is defined once, for reading and help.

`argparse` reads values, keeps defaults and lays the help out. Before it, the words are put in order here, because it
cannot do what users of dermedge may rely on: options between the arguments, any text as a value (negative numbers,
`-`, names that start with a dash), the nearest name for a mistyped option, every refusal in one sentence.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NoReturn

from dermedge_runtime.errors import UsageError

from .command_line import show
from .option_types import OptionType, any_text, nearest

_HELP = ("-h", "--help")
_WIDEST = 110


class _Argparse(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}.")


class CommandParser:
    """The options and arguments of one command."""

    def __init__(self, name: str, summary: str, details: str = "") -> None:
        """Start with no option but --help.

        :param name: word of the command.
        :param summary: its one line in the list of commands.
        :param details: what the help says besides.
        """
        self._name, self._program = name, f"dermedge {name}"
        self._argparse = _Argparse(
            prog=self._program,
            description=f"{summary} {details}".rstrip(),
            formatter_class=partial(argparse.HelpFormatter, width=_WIDEST),
            allow_abbrev=False,
            add_help=False,
        )
        self._arguments = self._argparse.add_argument_group("Arguments")
        self._options = self._argparse.add_argument_group("Options")
        self._options.add_argument(*_HELP, action="store_true", help="Show this message and exit.")
        self._takes_value = dict.fromkeys(_HELP, False)
        self._words, self._fewest, self._most = "", 0, 0

    def arguments(
        self,
        name: str,
        kind: OptionType,
        *,
        help: str,
        fewest: int = 0,
        most: int | None = None,
        dest: str | None = None,
    ) -> None:
        """Define what stands beside the options; the values come as a list.

        :param name: in capitals, as the help shows it.
        :param most: None for any number.
        :param dest: name of the result; by default the name in small letters.
        """
        self._words, self._fewest, self._most = name, fewest, 2**31 if most is None else most
        self._arguments.add_argument(
            dest or name.lower(), nargs="*", metavar=name, type=partial(kind, name), help=_plain(help)
        )

    def heading(self, title: str) -> None:
        """Begin a part of the help, for the options that are defined from now on."""
        self._options = self._argparse.add_argument_group(title)

    def option(
        self,
        name: str,
        kind: OptionType = any_text,
        *,
        help: str,
        metavar: str,
        default: str | None = None,
        dest: str | None = None,
        many: bool = False,
    ) -> None:
        """Define an option that takes a value.

        :param default: as the user would write it; the help shows it.
        :param dest: name of the result; by default the option's.
        :param many: it may be given several times; the values come as a list. Else the last one counts.
        """
        self._takes_value[name] = True
        shown = f"{help} [default: {default}]".lstrip() if default is not None else help
        settings: dict[str, Any] = {"action": "append", "default": []} if many else {"default": default}
        if dest is not None:
            settings["dest"] = dest
        self._options.add_argument(name, type=partial(kind, name), metavar=metavar, help=_plain(shown), **settings)

    def flag(self, name: str, *, help: str, dest: str | None = None, value: bool = True, default: bool = False) -> None:
        """Define an option without a value; of several with one `dest` the last one counts.

        :param dest: name of the result; by default the option's.
        :param value: what the result is where the option is given.
        :param default: what it is otherwise.
        """
        self._takes_value[name] = False
        settings: dict[str, Any] = {} if dest is None else {"dest": dest}
        self._options.add_argument(
            name, action="store_const", const=value, default=default, help=_plain(help), **settings
        )

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace | None:
        """Read a command's words; None where they ask for the help, which is then printed.

        :raises UsageError: an option that does not exist or lacks its value, a value that cannot be, too many or too
            few arguments.
        """
        before = arguments[: arguments.index("--")] if "--" in arguments else arguments
        if any(word in _HELP for word in before):
            show(self.help_text())
            return None
        options, words = self._in_order(arguments)
        if len(words) > self._most:
            takes = f"at most one {self._words}, got also" if self._most else "no argument, got"
            raise UsageError(f"{self._name} takes {takes} '{words[self._most]}'.")
        if len(words) < self._fewest:
            raise UsageError(f"{self._name} needs {self._words}. See {self._program} --help.")
        return self._argparse.parse_args([*options, "--", *words] if words else options)

    def help_text(self) -> str:
        """Give the help, as wide as the terminal allows."""
        from shutil import get_terminal_size

        width = min(get_terminal_size().columns, _WIDEST)
        self._argparse.formatter_class = partial(argparse.HelpFormatter, width=width, max_help_position=28)
        words = self._words if self._most < 2 else f"{self._words} ..."
        shown = words if self._fewest or not words else f"[{words}]"
        self._argparse.usage = f"{self._program} [OPTIONS] {shown}".rstrip()
        return self._argparse.format_help().replace("usage: ", "Usage: ", 1).rstrip()

    def _in_order(self, arguments: Sequence[str]) -> tuple[list[str], list[str]]:
        """Part the options, each with its value as one word, from the arguments."""
        options: list[str] = []
        words: list[str] = []
        waiting = iter(arguments)
        for word in waiting:
            if word == "--":
                words += waiting
            elif word == "-" or not word.startswith("-"):
                words.append(word)
            else:
                options.append(self._option(word, waiting))
        return options, words

    def _option(self, word: str, waiting: Iterator[str]) -> str:
        name, equals, value = word.partition("=")
        if name not in self._takes_value:
            raise UsageError(f"No such option {name}{self._hint(name)}")
        if not self._takes_value[name]:
            if equals:
                raise UsageError(f"{name} takes no value, got '{value}'.")
            return name
        if not equals:
            found = next(waiting, None)
            if found is None:
                raise UsageError(f"{name} needs a value. See {self._program} --help.")
            if found == "--" or found.partition("=")[0] in self._takes_value:
                raise UsageError(f"{name} needs a value, got {found}; write {name}={found} if that is the value.")
            value = found
        return f"{name}={value}"

    def _hint(self, name: str) -> str:
        ending = nearest(name, list(self._takes_value))
        return ending if ending != "." else f". See {self._program} --help."


def _plain(help: str) -> str:
    return help.replace("%", "%%")
