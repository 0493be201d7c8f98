"""Options: their values, how the help writes them, how a text is read, and the sentence where it does not fit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import typer

from dermedge.setting_fields import Setting
from dermedge_runtime.commands.option_types import nearest

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
OptionArguments: TypeAlias = dict[str, Any]
"""Arguments of `typer.Option` or `typer.Argument`."""


def option(panel: str, about: str, *names: str, **value: Any) -> Any:
    """Describe an option; without names, Typer takes the parameter's.

    :param panel: of the help, under which it is listed.
    :param about: one line of help.
    :param value: what one of the functions below gives; without it, the option is a flag.
    """
    return typer.Option(*names, help=about, rich_help_panel=panel, **(value or {"metavar": ""}))


def path(what: str = "file") -> OptionArguments:
    """Take a path that is not empty: that would mean the current folder.

    :param what: file or folder, for the help.
    """

    def read(text: str) -> Path:
        if not text:
            raise ValueError("takes a path, which must not be empty.")
        return Path(text)

    return {"parser": _from_text(read), "metavar": f"<{what}>"}


def any_text(what: str) -> OptionArguments:
    """Take any text.

    :param what: what it is, for the help.
    """
    return {"metavar": f"<{what}>"}


def pairs(example: str) -> OptionArguments:
    """Take pairs of words, each word on the left once.

    :param example: such as ACK=akiec, for the sentence about a mistake.
    """

    def read(text: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for pair in text.split(","):
            left, sign, right = (part.strip() for part in pair.partition("="))
            if not (left and sign and right):
                raise ValueError(f"takes pairs such as {example},..., got '{pair}'.")
            if left in found:
                raise ValueError(f"names {left} twice.")
            found[left] = right
        return found

    return {"parser": _from_text(read), "metavar": "<theirs=ours,...>"}


def choice(*accepted: str) -> OptionArguments:
    """Take one of some words."""

    def read(text: str) -> str:
        if text not in accepted:
            known = f"{', '.join(accepted[:-1])} or {accepted[-1]}"
            raise ValueError(f"takes {known}, got '{text}'{nearest(text, accepted)}")
        return text

    return {"parser": _from_text(read), "metavar": f"<{'|'.join(accepted)}>", "autocompletion": _beginning(accepted)}


def whole(least: int, most: int | None = None) -> OptionArguments:
    """Take a whole number in a range, both ends of it included."""
    limits = f"from {least} up" if most is None else f"from {least} to {most}"

    def read(text: str) -> int:
        if not _WHOLE.fullmatch(text) or not least <= int(text) <= (most or math.inf):
            raise ValueError(f"takes a whole number {limits}, got '{text}'.")
        return int(text)

    return {"parser": _from_text(read), "metavar": f"<integer {limits}>"}


def number(least: float, most: float) -> OptionArguments:
    """Take a number in a range, both ends of it included; infinity and NaN are in none."""

    def read(text: str) -> float:
        try:
            value = math.nan if "_" in text else float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise ValueError(f"takes a number from {least:g} to {most:g}, got '{text}'.")
        return value

    return {"parser": _from_text(read), "metavar": f"<number from {least:g} to {most:g}>"}


def of_setting(setting: Setting) -> OptionArguments:
    """Take what a setting accepts."""
    if setting.kind is bool:
        return {}
    if setting.choices:
        return choice(*setting.choices)
    kind = {int: "integer", float: "number", str: "word"}[setting.kind]
    return {"parser": _from_text(setting.parse), "metavar": f"<{f'{kind} {setting.range}'.strip()}>"}


def _from_text(read: Callable[[str], Any]) -> Callable[[Any], Any]:
    """Leave a default as it is, and refuse what cannot be read; Typer adds which option it was."""

    def parse(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return read(value)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error

    return parse


def _beginning(accepted: Sequence[str]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [word for word in accepted if word.startswith(incomplete)]

    return complete
