"""Recipe files: the shipped ones are whole, and what is wrong with one is said in a sentence."""

import pytest

from dermedge.recipes.missing_parts import accepted, fusion_names, missing_parts
from dermedge.recipes.recipe import Recipe
from dermedge.recipes.recipe_file import load_recipe, parse_recipe, shipped_recipes
from dermedge_runtime.errors import InputRejected, UsageError

WHOLE = """
title = "A title"
authors = "Somebody"
year = 2026
different = "Nothing."
deviations = ["None."]
why_it_differs = "It does not."
start = "random"
[published]
data = "none"
protocol = "none"
[settings]
fusion = "gated"
"""
TABLE_1 = {
    "arshad2021", "sevli2021", "wang2023", "adebiyi2024", "srivastava2022", "datta2021", "lan2022", "gessert2020",
    "ou2022", "restrepo2024",
}  # fmt: skip
SHIPPED = [load_recipe(name) for name in shipped_recipes()]


def parsed(text: str) -> Recipe:
    return parse_recipe(text.encode(), "mine", "mine.toml")


def test_the_ten_systems_of_table_1_and_two_more_are_there() -> None:
    assert set(shipped_recipes()) == TABLE_1 | {"metablock", "metanet"}


@pytest.mark.parametrize("recipe", SHIPPED, ids=lambda recipe: recipe.name)
def test_a_shipped_recipe_says_where_its_figures_are_from(recipe: Recipe) -> None:
    assert recipe.deviations and recipe.why_it_differs.endswith(".") and recipe.different.endswith(".")
    assert {figure.source for figure in recipe.published.figures} <= {
        "its abstract", "its repository", "the paper's table 1",
    }  # fmt: skip
    assert recipe.published.figures or recipe.name not in TABLE_1


@pytest.mark.parametrize("recipe", SHIPPED, ids=lambda recipe: recipe.name)
def test_a_recipe_is_built_exactly_where_its_networks_are_there(recipe: Recipe) -> None:
    from dermedge.models.branches.families import family_of
    from dermedge.models.fusion import FUSIONS

    settings = [
        recipe.settings,
        recipe.own_settings,
        *({**recipe.settings, **each.settings} for each in recipe.members),
    ]
    branches = {str(each["image_branch"]) for each in settings if "image_branch" in each}
    missing = missing_parts(recipe)
    assert (f"--fusion {recipe.settings['fusion']}" in missing) == (recipe.settings["fusion"] not in FUSIONS)
    absent = set()
    for branch in branches:
        try:
            family_of(branch)
        except UsageError:
            absent.add(branch)
    assert any(part.startswith("--image-branch") for part in missing) == bool(absent), absent


def test_the_names_of_the_fusions_are_those_of_their_table() -> None:
    from dermedge.models.fusion import FUSIONS

    assert fusion_names() == set(FUSIONS)


def test_what_is_not_built_is_found_by_looking() -> None:
    assert missing_parts(parsed(WHOLE)) == ()
    unknown = WHOLE + 'sparkle = true\nresample = "hexagonal"\npooling_of_mine = 3\n'
    assert missing_parts(parsed(unknown)) == ("--sparkle", "--resample hexagonal", "--pooling-of-mine 3")
    assert accepted(parsed(unknown).settings) == {"fusion": "gated"}
    assert missing_parts(parsed(WHOLE.replace("gated", "gilded"))) == ("--fusion gilded",)
    needs = WHOLE + '[needs]\n"a cup of tea" = "dermedge.kitchen.tea"\n"a training" = "dermedge.training.train"\n'
    assert missing_parts(parsed(needs)) == ("a cup of tea",)
    member = WHOLE + "[[members]]\nsettings = { sparkle = false }\n"
    assert missing_parts(parsed(member)) == ("--sparkle False",)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('title = "A title"', "", "the key title is missing."),
        ('title = "A title"', "title = 3", "title must be a text, found a whole number, 3."),
        ('title = "A title"', 'titel = "x"', "the key titel is unknown; did you mean 'title'?"),
        (
            'title = "A title"',
            'title = "A title"\nname = "x"',
            "the key name is unknown; a recipe is called as its file.",
        ),
        ("year = 2026", "year = 20", "year must be a year from 1990 to 2100, found a whole number, 20."),
        ('start = "random"', 'start = "warm"', "start must be random, pretrained or frozen, found text, 'warm'."),
        ('deviations = ["None."]', "deviations = []", "deviations must be a list that is not empty, found a list."),
        ('protocol = "none"', "", "the key published.protocol is missing."),
        ('protocol = "none"', 'protocol = "none"\nfigurs = []', "published.figurs is unknown; did you mean 'figures'?"),
        (
            'fusion = "gated"',
            'fusion = "gated"\n[[members]]\nsettings = {seed = 1}',
            "members[1].settings must not name",
        ),
        ('fusion = "gated"', "dropout = 0.1", "settings must name a fusion, such as fusion = 'image_only'."),
        ('fusion = "gated"', 'fusion = "gated"\nseed = 3', "settings must not name seed: it is no recipe's own."),
        (
            'fusion = "gated"',
            'fusion = "gated"\nepochs = [1]',
            "settings.epochs must be a text, a number, true or false",
        ),
        (
            'fusion = "gated"',
            'fusion = "gated"\nepochs = 0',
            "the setting epochs is 0; it must be a whole number from 1",
        ),
        ('fusion = "gated"', 'fusion = "gated"\n[needs]\nx = "os.path"', "needs must name modules of dermedge"),
        (
            'protocol = "none"',
            'protocol = "none"\n[[published.figures]]\nmetric = "a"\nvalue = 98.9\nof = "b"\nsource = "c"',
            "published.figures[1].value must be a share from 0 to 1, found a number, 98.9.",
        ),
        ("[settings]", "[settings", "mine.toml is no TOML file: "),
    ],
)
def test_what_is_wrong_is_one_sentence(before: str, after: str, said: str) -> None:
    assert before in WHOLE
    with pytest.raises(InputRejected) as refused:
        parsed(WHOLE.replace(before, after))
    assert said in str(refused.value) and len(str(refused.value).splitlines()) == 1 + (after[:5] == "titel")


def test_a_recipe_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"There is no recipe 'gesert2020'; .*; did you mean gessert2020"):
        load_recipe("gesert2020")
    with pytest.raises(InputRejected, match=r"The recipe no/such\.toml cannot be read: No such file"):
        load_recipe("no/such.toml")
