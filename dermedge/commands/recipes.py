"""`dermedge recipes`: the systems of the literature, and what of them is built and measured."""

from __future__ import annotations

from typing import Annotated

import typer

from dermedge.recipes.listing import recipe_record, recipe_text, recipes_text
from dermedge.recipes.recipe_file import load_recipe, shipped_recipes

from .option_values import any_text
from .shared_options import AsJson, print_json

_Name = Annotated[
    str | None,
    typer.Argument(
        help="A recipe, or a .toml file of your own.", show_default=False, **{**any_text("name"), "metavar": "NAME"}
    ),
]


def recipes(name: _Name = None, as_json: AsJson = False) -> None:
    """List the systems of the literature: what was published, what is built here, what we measured.

    Examples:
      dermedge recipes
      dermedge recipes ou2022
      dermedge recipes --json
    """
    if name is not None:
        recipe = load_recipe(name)
        if as_json:
            print_json(recipe_record(recipe))
        else:
            typer.echo(recipe_text(recipe))
        return
    every = [load_recipe(each) for each in shipped_recipes()]
    if as_json:
        print_json({"recipes": [recipe_record(each) for each in every]})
    else:
        typer.echo(recipes_text(every))
