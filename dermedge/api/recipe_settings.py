"""Settings of a training by a recipe: what it says, and what somebody gives in the place of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dermedge.require import extras
from dermedge_runtime.errors import UsageError

if TYPE_CHECKING:
    from dermedge.asked_settings import AskedSettings
    from dermedge.config import TrainConfig
    from dermedge.recipes.recipe import Recipe
    from dermedge.recipes.training_settings import RecipeTraining


def recipe_of(name: str) -> Recipe:
    """Read a recipe.

    :raises UsageError: there is none of that name.
    :raises InputRejected: a file of one's own that cannot be used.
    """
    with extras("train"):
        from dermedge.recipes.recipe_file import load_recipe
    return load_recipe(name)


def by_recipe(
    name: str,
    config: TrainConfig | AskedSettings | None,
    named: Mapping[str, Any],
    *,
    pretrained: bool | None,
    started: bool,
    embedded: bool = False,
) -> RecipeTraining:
    """Put what is given over what a recipe says.

    :param config: settings that were asked for, as a command line has them.
    :param named: single settings by name.
    :param pretrained: None: as the recipe does.
    :param started: weights to start from are named otherwise.
    :param embedded: embeddings of the pictures are given.
    :raises UsageError: no such recipe, an ensemble, or whole settings beside a recipe, of which nothing would be left.
    :raises DermedgeError: something that the recipe needs is not built.
    """
    recipe = recipe_of(name)
    from dermedge.asked_settings import AskedSettings
    from dermedge.recipes.training_settings import recipe_training

    if config is not None and not isinstance(config, AskedSettings):
        raise UsageError("config says all settings, and a recipe would change none of them: give one of the two.")
    given = AskedSettings.of(None, named)
    asked = given if config is None else given.over(config)
    return recipe_training(recipe, asked, pretrained=pretrained, started=started, embedded=embedded)
