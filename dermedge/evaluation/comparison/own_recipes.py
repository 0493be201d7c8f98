"""Recipes of one's own in a comparison: a copy of each lies in its folder, so that the page can be made anew."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dermedge.recipes.recipe import Recipe
from dermedge.recipes.recipe_file import SUFFIX, load_recipe
from dermedge_runtime.files import atomic_path

from .planned_recipe import PlannedRecipe

_FOLDER = "own-recipes"


def keep_own(root: Path, planned: Mapping[str, PlannedRecipe]) -> None:
    """Copy the files of recipes that dermedge does not ship into a comparison's folder."""
    for name, each in planned.items():
        if each.file is not None:
            place = _place(root, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(place) as temporary:
                temporary.write_bytes(each.file.read_bytes())


def recipe_of(root: Path, name: str) -> Recipe:
    """Read a recipe of a comparison: that which was kept, or the one that dermedge ships.

    :raises InputRejected: the copy cannot be read, or is damaged.
    """
    place = _place(root, name)
    return load_recipe(str(place) if place.is_file() else name)


def _place(root: Path, name: str) -> Path:
    return root / _FOLDER / f"{name}{SUFFIX}"
