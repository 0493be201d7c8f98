"""Recipes of a comparison: which are trained and how, and which are left out and why."""

from __future__ import annotations

from dataclasses import dataclass

from dermedge.config import AskedSettings
from dermedge.models.fusion import fusion_class
from dermedge.recipes.missing_parts import missing_parts
from dermedge.recipes.recipe import Recipe
from dermedge.recipes.recipe_file import load_recipe, shipped_recipes
from dermedge.recipes.training_settings import settings_of_recipe
from dermedge_runtime.errors import UsageError

from .rows import NONE, OWN, SHARED


@dataclass(frozen=True, slots=True)
class PlannedRecipe:
    """A recipe that is trained: its idea, over the settings of the comparison."""

    recipe: Recipe
    asked: AskedSettings

    @property
    def trained_start(self) -> bool:
        """Whether its image branch starts from weights that others have trained, where the comparison's does."""
        return self.recipe.start != "random"

    def image_branch(self, usual: str) -> str:
        """Its image branch; `NONE` where it reads no picture.

        :param usual: the comparison's.
        """
        if not fusion_class(self.asked.values.fusion).uses_image:
            return NONE
        return self.asked.values.image_branch if "image_branch" in self.asked.given else usual

    def trunk(self, wanted: str, *, pretrained: bool) -> str:
        """How its trunk is trained: shared where the recipe differs from the others in its fusion alone.

        :param wanted: the comparison's.
        :param pretrained: the comparison's image branch starts from weights that others have trained.
        """
        if not fusion_class(self.asked.values.fusion).uses_image:
            return NONE
        same_start = self.recipe.start == ("pretrained" if pretrained else self.recipe.start)
        alone = self.asked.given <= {"fusion"} and same_start and self.recipe.start != "frozen"
        return SHARED if wanted == SHARED and alone else OWN


def plan_recipes(text: str, *, pretrained: bool) -> tuple[dict[str, PlannedRecipe], dict[str, str]]:
    """Choose recipes by their names, comma-separated; `all` gives all that are shipped.

    :param pretrained: the comparison starts from weights that others have trained.
    :return: those that can be trained, and a reason for each of the others.
    :raises UsageError: an unknown name, or none.
    """
    names = shipped_recipes() if text.strip() == "all" else tuple(filter(None, map(str.strip, text.split(","))))
    if not names:
        raise UsageError("--recipes takes names of recipes, comma-separated, or all; `dermedge recipes` lists them.")
    planned, left_out = {}, {}
    if own := [name for name in names if name.lower().endswith(".toml")]:
        raise UsageError(
            f"--recipes takes recipes that dermedge ships, and {own[0]} is a file: see `dermedge recipes`."
        )
    for recipe in map(load_recipe, dict.fromkeys(names)):
        if missing := missing_parts(recipe):
            left_out[recipe.name] = f"not built: {', '.join(missing)}"
        elif recipe.members:
            left_out[recipe.name] = f"an ensemble, which is trained in steps: dermedge recipes {recipe.name}"
        elif recipe.start == "frozen" and not pretrained:
            left_out[recipe.name] = "keeps trained weights as they are: add --pretrained"
        else:
            planned[recipe.name] = PlannedRecipe(recipe, settings_of_recipe(recipe, original=False))
    return planned, left_out
