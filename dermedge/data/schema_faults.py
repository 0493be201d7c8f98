"""Say what pydantic finds wrong with a schema file: one sentence for each fault, with the key and the nearest name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

Place = tuple[int | str, ...]
"""Where a fault is, as pydantic gives it; the name of an entry's kind follows its number in a list."""
_KINDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number", list: "a list", dict: "a table"}
_WANTED = {
    "string_type": "a text",
    "string_too_short": "a text",
    "string_pattern_mismatch": "one character",
    "bool_type": "true or false",
    "float_type": "a number",
    "finite_number": "a number",
    "tuple_type": "a list of texts",
    "too_short": "a list of texts",
    "dict_type": "a table of texts",
}
"""What a key must be, by the kind of pydantic's error; otherwise a table."""


def about_key(reason: str, before: str = "") -> PydanticCustomError:
    """Make the error of one key.

    :param reason: what follows the key's name, such as "must be one word".
    :param before: what comes before it.
    """
    return PydanticCustomError("about_key", "{reason}", {"reason": reason, "before": before})


def refuse(reasons: Iterable[str]) -> None:
    """Refuse a table of the file whose keys contradict each other.

    :param reasons: whole sentences without their full stops; nothing happens without any.
    :raises PydanticCustomError: for all of them.
    """
    if told := list(reasons):
        raise PydanticCustomError("contradictions", "{reasons}", {"reasons": told})


def faults(error: ValidationError, models: Mapping[tuple[str, ...], type[BaseModel]]) -> list[str]:
    """Give everything that is wrong, a sentence each.

    :param models: the model of each table of the file by its place, without numbers.
    """
    found: list[str] = []
    for each in error.errors(include_url=False):
        # A list with a faulty entry is also called too short.
        if each["type"] != "too_short" or not each["input"]:
            found += _reasons(each, models)
    return [fault if fault.endswith("?") else f"{fault}." for fault in found]


def _reasons(fault: ErrorDetails, models: Mapping[tuple[str, ...], type[BaseModel]]) -> Sequence[str]:
    kind, place, given = fault["type"], fault["loc"], fault.get("ctx", {})
    name = _name(place)
    if kind == "contradictions":
        reasons: list[str] = given["reasons"]
        return reasons
    if kind == "about_key":
        return [f"{given['before']}{name} {given['reason']}"]
    if kind in ("missing", "union_tag_not_found"):
        return [f"the key {name if kind == 'missing' else f'{name}.kind'} is missing"]
    if kind == "extra_forbidden":
        table = models[tuple(part for part in place[:-1] if isinstance(part, str))]
        return [f"the key {name} is unknown{_hint(str(place[-1]), list(table.model_fields))}"]
    if kind == "union_tag_invalid":
        return [f"{name}.kind must be numeric, categorical or boolean, found '{given['tag']}'"]
    wanted = "one or more tables [[fields]]" if name == "fields" else _WANTED.get(kind, "a table")
    return [f"{name or 'it'} must be {wanted}, found {_described(fault['input'])}"]


def _name(place: Place) -> str:
    """Full name of a key, such as table.image or fields[2].unit."""
    name = ""
    for before, part in zip((None, *place), place, strict=False):
        if isinstance(part, int):
            name += f"[{part + 1}]"
        elif not isinstance(before, int) and part != "[key]":
            name += f".{part}"
    return name.removeprefix(".")


def _hint(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; known are {', '.join(known)}"


def _described(value: Any) -> str:
    kind = _KINDS.get(type(value), "something else")
    return f"{kind}, {value!r}" if isinstance(value, str | int | float) else kind
