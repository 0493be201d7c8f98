"""Recipes of a comparison: which are trained and how, and which are left out and why.

The networks of an ensemble are trained one by one. The sizes of their pictures are shares of the largest among them,
which becomes the comparison's: of 160, 192 and 224 pixels, a comparison at 96 makes 72, 80 and 96.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dermedge.asked_settings import AskedSettings
from dermedge.models.fusion import ensemble_of, modalities
from dermedge.recipes.missing_parts import check_built, missing_parts
from dermedge.recipes.recipe import Recipe
from dermedge.recipes.recipe_file import SUFFIX, load_recipe, shipped_recipes
from dermedge.recipes.training_settings import settings_of_members, settings_of_recipe
from dermedge.training.run_names import SEVERAL_BRANCHES
from dermedge_runtime.errors import UsageError

from .rows import NONE, OWN, SHARED

_SMALLEST, _STEP = 32, 8
"""Pixels."""


@dataclass(frozen=True, slots=True)
class PlannedRecipe:
    """A recipe that is trained: its idea, over the settings of the comparison."""

    recipe: Recipe
    asked: AskedSettings
    members: tuple[AskedSettings, ...] = ()
    """Of every network of an ensemble, the recipe's own settings among them; empty: it is one network."""
    file: Path | None = None
    """None: dermedge ships it."""

    @property
    def trained_start(self) -> bool:
        """Whether its image branch starts from weights that others have trained, where the comparison's does."""
        return self.recipe.start != "random"

    @property
    def fusion(self) -> str:
        """Its fusion, or what an ensemble has in its place."""
        if not self.members:
            return self.asked.values.fusion
        return ensemble_of([modalities(each.values.fusion) for each in self.members])

    def image_branch(self, usual: str) -> str:
        """Its image branch; `NONE` where it reads no picture, `SEVERAL_BRANCHES` where its members differ.

        :param usual: the comparison's.
        """
        found = {_branch_of(each, usual) for each in self.members or (self.asked,)}
        found -= {NONE} if len(found) > 1 else set()
        return found.pop() if len(found) == 1 else SEVERAL_BRANCHES

    def member_branch(self, number: int, usual: str) -> str:
        """Image branch of a member, counted from 1; otherwise as `image_branch`."""
        return _branch_of(self.members[number - 1], usual)

    def member_size(self, number: int, size: int) -> int:
        """Height and width of the pictures that a member reads, in pixels.

        A multiple of 8, and at least 32, where it is not the largest.

        :param number: counted from 1.
        :param size: the comparison's.
        """
        sizes = [each.values.image_size for each in self.members if "image_size" in each.given]
        member, largest = self.members[number - 1], max(sizes, default=0)
        if "image_size" not in member.given or member.values.image_size == largest:
            return size
        return min(size, max(_SMALLEST, _STEP * round(size * member.values.image_size / largest / _STEP)))

    def trunk(self, wanted: str, *, pretrained: bool) -> str:
        """How its trunk is trained: shared where the recipe differs from the others in its fusion alone.

        :param wanted: the comparison's.
        :param pretrained: the comparison's image branch starts from weights that others have trained.
        """
        if not modalities(self.fusion).image:
            return NONE
        if self.members:
            return OWN
        same_start = self.recipe.start == ("pretrained" if pretrained else self.recipe.start)
        alone = self.asked.given <= {"fusion"} and same_start and self.recipe.start != "frozen"
        return SHARED if wanted == SHARED and alone else OWN


def plan_recipes(text: str, *, pretrained: bool) -> tuple[dict[str, PlannedRecipe], dict[str, str]]:
    """Choose recipes by their names, comma-separated, or those of one's own by their files.

    `all` gives all that are shipped.

    :param pretrained: the comparison starts from weights that others have trained.
    :return: those that can be trained, and a reason for each of the others.
    :raises UsageError: an unknown name, none, or two recipes of one name.
    :raises InputRejected: a file that cannot be read, or is no recipe.
    :raises DermedgeError: a file whose recipe needs what is not built.
    """
    names = shipped_recipes() if text.strip() == "all" else tuple(filter(None, map(str.strip, text.split(","))))
    if not names:
        raise UsageError("--recipes takes names of recipes, comma-separated, or all; `dermedge recipes` lists them.")
    planned, left_out = {}, {}
    files = {Path(name).stem: Path(name) for name in names if name.lower().endswith(SUFFIX)}
    called = [Path(name).stem if name.lower().endswith(SUFFIX) else name for name in dict.fromkeys(names)]
    if twice := [name for name in called if called.count(name) > 1 or (name in files and name in shipped_recipes())]:
        raise UsageError(
            f"Two recipes are called {twice[0]}; a recipe is called as its file. Give the file another name."
        )
    for recipe in map(load_recipe, dict.fromkeys(names)):
        if recipe.name in files:
            check_built(recipe)
        if missing := missing_parts(recipe):
            left_out[recipe.name] = f"not built: {', '.join(missing)}"
        elif recipe.start == "frozen" and not pretrained:
            left_out[recipe.name] = "keeps trained weights as they are: add --pretrained"
        elif recipe.settings.get("select_features") and not pretrained:
            left_out[recipe.name] = "selects among trained features: add --pretrained"
        else:
            members = tuple(settings_of_members(recipe, original=False))
            asked = AskedSettings.of(None, recipe.settings) if members else settings_of_recipe(recipe, original=False)
            planned[recipe.name] = PlannedRecipe(recipe, asked, members, files.get(recipe.name))
    return planned, left_out


def _branch_of(asked: AskedSettings, usual: str) -> str:
    if not modalities(asked.values.fusion).image:
        return NONE
    return asked.values.image_branch if "image_branch" in asked.given else usual
