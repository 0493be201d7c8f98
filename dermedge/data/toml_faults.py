"""Words about what is wrong in a TOML file, of what pydantic says of it: where, what was found, the nearest key."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

_KINDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number", list: "a list", dict: "a table"}


def key_name(place: tuple[int | str, ...], *, kinds: bool = False) -> str:
    """Full name of a key, such as table.image or fields[2].unit.

    :param place: where a fault is, as pydantic gives it.
    :param kinds: the name of an entry's kind, which is no key, follows its number in a list.
    """
    name = ""
    for before, part in zip((None, *place), place, strict=False):
        if isinstance(part, int):
            name += f"[{part + 1}]"
        elif not (kinds and isinstance(before, int)) and part != "[key]":
            name += f".{part}"
    return name.removeprefix(".")


def unknown_key(key: str, known: Sequence[str]) -> str:
    """End a sentence about an unknown key, without its full stop."""
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(known)}"


def described(value: Any) -> str:
    """Say what kind of value was found, and the value where it is short."""
    kind = _KINDS.get(type(value), "something else")
    return f"{kind}, {value!r}" if isinstance(value, str | int | float) else kind
