"""Read a recipe file, a shipped one or one of your own: TOML, checked whole before it is used."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dermedge.asked_settings import AskedSettings
from dermedge.data.toml_faults import described, key_name, unknown_key
from dermedge_runtime.commands.option_types import nearest
from dermedge_runtime.errors import InputRejected, UsageError

from .missing_parts import accepted
from .recipe import Figure, Member, Published, Recipe

SUFFIX = ".toml"
"""Of a recipe that is given by its path."""
_TABLES: dict[str, type[BaseModel]] = {"published": Published, "figures": Figure, "members": Member}


def shipped_recipes() -> tuple[str, ...]:
    """Names of the recipes that dermedge ships."""
    entries = files("dermedge.recipes").iterdir()
    return tuple(sorted(Path(entry.name).stem for entry in entries if entry.name.endswith(SUFFIX)))


def load_recipe(name: str) -> Recipe:
    """Read a recipe by the name of a shipped one, or by the path of a file that ends in .toml.

    :raises UsageError: there is no such recipe; the message names the nearest.
    :raises InputRejected: it cannot be read, is no TOML, lacks a key, or holds what it must not.
    """
    if name.lower().endswith(SUFFIX):
        try:
            return parse_recipe(Path(name).read_bytes(), Path(name).stem, name)
        except OSError as error:
            raise InputRejected(f"The recipe {name} cannot be read: {error.strerror or error}.") from error
        except ValueError as error:  # a NUL byte in the name
            raise InputRejected(f"The recipe {name!r} cannot be read: {error}.") from error
    known = shipped_recipes()
    if name not in known:
        raise UsageError(
            f"There is no recipe '{name}'; dermedge has {', '.join(known)}{nearest(name, known)}"
            f" One of your own is given by its path, which ends in {SUFFIX}."
        )
    return parse_recipe((files("dermedge.recipes") / f"{name}{SUFFIX}").read_bytes(), name, name)


def parse_recipe(content: bytes, name: str, source: str) -> Recipe:
    """Read the content of a recipe file.

    :param name: of the recipe.
    :param source: its file, for messages.
    :raises InputRejected: as `load_recipe`.
    """
    try:
        record = tomllib.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputRejected(f"The recipe {source} is no TOML file: {error}.") from error
    if "name" in record:
        raise InputRejected(f"The recipe {source}: the key name is unknown; a recipe is called as its file.")
    try:
        recipe = Recipe.model_validate({**record, "name": name})
    except ValidationError as error:
        # A value of several kinds is complained of once for each.
        faults = {_place(each): _fault(each) for each in reversed(error.errors(include_url=False))}
        said = [f"The recipe {source}: {fault}" for fault in reversed(faults.values())]
        raise InputRejected("\n".join(said)) from error
    _check_values(recipe, source)
    return recipe


def _check_values(recipe: Recipe, source: str) -> None:
    """Refuse values that no setting takes; settings that are not built here are no fault of the recipe."""
    for settings in (recipe.settings, recipe.original, *(member.settings for member in recipe.members)):
        try:
            AskedSettings.of(None, accepted(settings))
        except UsageError as error:
            raise InputRejected(f"The recipe {source}: {str(error)[0].lower()}{str(error)[1:]}") from error


def _place(fault: ErrorDetails) -> tuple[int | str, ...]:
    """Where a fault is, without the kinds that its value may be of."""
    return tuple(part for part in fault["loc"] if part not in ("bool", "int", "float", "str"))


def _fault(fault: ErrorDetails) -> str:
    """Give what is wrong in one sentence."""
    place = _place(fault)
    name = key_name(place)
    if fault["type"] == "reason":
        return f"{name} {fault['msg']}."
    if fault["type"] == "missing":
        return f"the key {name} is missing."
    if fault["type"] == "extra_forbidden":
        inside = [part for part in place[:-1] if isinstance(part, str)]
        table = _TABLES[inside[-1]] if inside else Recipe
        ending = unknown_key(str(place[-1]), [each for each in table.model_fields if each != "name"])
        return f"the key {name} is unknown{ending}{'' if ending.endswith('?') else '.'}"
    wanted = {
        "string_type": "a text", "string_too_short": "a text that is not empty", "int_type": "a whole number",
        "float_type": "a number", "dict_type": "a table", "model_type": "a table", "list_type": "a list",
        "too_short": "a list that is not empty", "greater_than_equal": "a share from 0 to 1",
        "less_than_equal": "a share from 0 to 1", "literal_error": "random, pretrained or frozen",
    }.get(fault["type"], "a text, a number, true or false")  # fmt: skip
    if place == ("year",):
        wanted = "a year from 1990 to 2100"
    return f"{name} must be {wanted}, found {described(fault['input'])}."
