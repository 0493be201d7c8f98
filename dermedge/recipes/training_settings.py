"""What a recipe says of a training, in the place of what nobody has given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dermedge.asked_settings import AskedSettings
from dermedge_runtime.errors import UsageError

from .missing_parts import check_built
from .recipe import Recipe

RECIPE = "recipe"
"""The key in the record of a run, and in a model file's `training`, under which `recipe_record` lies."""


@dataclass(frozen=True, slots=True)
class RecipeTraining:
    """A training by a recipe."""

    asked: AskedSettings
    pretrained: bool
    record: dict[str, Any]
    """As `recipe_record` gives it, with the settings that were given beside the recipe's: `given`."""


def settings_of_recipe(recipe: Recipe, *, original: bool) -> AskedSettings:
    """Give what a recipe asks for.

    :param original: with what the original was made with beside its idea.
    :raises DermedgeError: something that it needs is not built.
    :raises UsageError: the recipe is an ensemble, which no single training makes.
    """
    check_built(recipe)
    if recipe.members:
        raise UsageError(
            f"The recipe {recipe.name} is an ensemble of {len(recipe.members)} networks."
            f" `dermedge recipes {recipe.name}` says how each is trained, and how they are joined."
        )
    return AskedSettings.of(None, {**(recipe.own_settings if original else recipe.settings), **_start_of(recipe)})


def settings_of_members(recipe: Recipe, *, original: bool) -> list[AskedSettings]:
    """Give what each network of an ensemble asks for, in their order; none where the recipe is one network.

    :raises DermedgeError: something that it needs is not built.
    """
    check_built(recipe)
    shared = {**(recipe.own_settings if original else recipe.settings), **_start_of(recipe)}
    return [AskedSettings.of(None, {**shared, **member.settings}) for member in recipe.members]


def _start_of(recipe: Recipe) -> dict[str, bool]:
    return {"freeze_image_branch": True} if recipe.start == "frozen" else {}


def recipe_training(
    recipe: Recipe, given: AskedSettings, *, pretrained: bool | None, started: bool, embedded: bool = False
) -> RecipeTraining:
    """Put together what a recipe says and what somebody has given, which comes first.

    :param pretrained: start from weights that others have trained; None: as the recipe does.
    :param started: somebody has said otherwise what the training starts from.
    :param embedded: embeddings of the pictures are given, which stand in the place of a frozen image branch.
    :raises DermedgeError: as `settings_of_recipe`.
    :raises UsageError: as `settings_of_recipe`, or embeddings for a recipe that trains an image branch.
    """
    own = settings_of_recipe(recipe, original=True)
    if embedded:
        if recipe.start != "frozen":
            raise UsageError(f"The recipe {recipe.name} trains a network on pictures: leave --embeddings or it out.")
        own, started = AskedSettings.of(None, recipe.settings), True
    wanted = recipe.start != "random" and not started if pretrained is None else pretrained
    return RecipeTraining(given.over(own), wanted, {**recipe_record(recipe), "given": given.to_record()})


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """Give what a run, and a file made of it, is to say of its recipe: `name`, `reference` and, if any, `link`."""
    return {"name": recipe.name, "reference": recipe.reference, **({"link": recipe.link} if recipe.link else {})}
