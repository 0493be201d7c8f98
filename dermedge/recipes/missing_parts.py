"""What a recipe needs and this dermedge has not: found out by looking at the options, the fusions and the modules.

No torch here: the fusions' names are read from the source of their table.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec

from dermedge.config import RequestedSettings
from dermedge.setting_fields import Setting, settings_of
from dermedge_runtime.errors import DermedgeError

from .recipe import Recipe, Settings, Value


def missing_parts(recipe: Recipe) -> tuple[str, ...]:
    """Name what is not built, such as "--fusion mmf_net"; empty: the recipe can be trained."""
    every = [recipe.settings, recipe.original, *(member.settings for member in recipe.members)]
    options = [
        _option(name, value) for settings in every for name, value in settings.items() if not _takes(name, value)
    ]
    parts = [name for name, module in recipe.needs.items() if not _is_there(module)]
    return tuple(dict.fromkeys((*options, *parts)))


def check_built(recipe: Recipe) -> None:
    """Let a recipe pass that can be trained.

    :raises DermedgeError: something that it needs is not built; the message names it.
    """
    if missing := missing_parts(recipe):
        raise DermedgeError(
            f"The recipe {recipe.name} needs what this version of dermedge has not: {', '.join(missing)}."
            " `dermedge recipes` lists the recipes that are built."
        )


def accepted(settings: Mapping[str, Value]) -> Settings:
    """Leave out the settings that this dermedge does not have."""
    return {name: value for name, value in settings.items() if _takes(name, value)}


def _takes(name: str, value: Value) -> bool:
    setting = _settings().get(name)
    if setting is None:
        return False
    if name == "fusion":
        return value in fusion_names()
    return not setting.choices or not isinstance(value, str) or value in setting.choices


def _option(name: str, value: Value) -> str:
    option = f"--{name.replace('_', '-')}"
    return option if value is True else f"{option} {value}"


@functools.cache
def _settings() -> dict[str, Setting]:
    return {setting.option: setting for setting in settings_of(RequestedSettings)}


@functools.cache
def fusion_names() -> frozenset[str]:
    """Names in `models.fusion.FUSIONS`, read from its source: importing it takes seconds, and torch."""
    tree = ast.parse((files("dermedge.models") / "fusion.py").read_text(encoding="utf-8"))
    tables = (node.value for node in tree.body if isinstance(node, ast.AnnAssign) and _is_table(node.target))
    keys = (key for table in tables if isinstance(table, ast.Dict) for key in table.keys)
    return frozenset(str(key.value) for key in keys if isinstance(key, ast.Constant))


def _is_table(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) and target.id.endswith("_FUSIONS")


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its package is not there
        return False
