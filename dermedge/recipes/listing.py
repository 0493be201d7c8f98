"""What is told of the recipes: all in a table, one in full, both as records."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from dermedge.tables import table

from .measured import figure_text, measured_rows
from .missing_parts import missing_parts
from .recipe import Figure, Recipe, Settings

_WIDTH = 100
_HEADER = ("recipe", "reference", "published", "balanced accuracy here", "state")


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """Give everything about a recipe, JSON-ready; `missing` is empty where it is built."""
    row = measured_rows().get(recipe.name)
    return {
        **recipe.model_dump(),
        "reference": recipe.reference,
        "link": recipe.link,
        "missing": list(missing_parts(recipe)),
        "commands": commands(recipe),
        "measured": row,
    }


def recipes_text(recipes: Sequence[Recipe]) -> str:
    """Give the table of all, and below it what each does differently."""
    measured = measured_rows()
    rows = [
        [each.name, each.reference, published_text(each), measured_text(measured.get(each.name)), state_text(each)]
        for each in recipes
    ]
    width = max(len(each.name) for each in recipes) + 2
    told = [_block(each.name.ljust(width), each.different) for each in recipes]
    return "\n".join([table(rows, _HEADER), "", *told, "", "Everything about one: dermedge recipes NAME"])


def recipe_text(recipe: Recipe) -> str:
    """Give everything about one recipe."""
    row = measured_rows().get(recipe.name)
    published = [f"{figure_words(each)} ({each.of}; {each.source})" for each in recipe.published.figures]
    lines = [
        _block("", f"{recipe.reference}: {recipe.title}"),
        *([recipe.link] if recipe.link else []),
        "",
        _block("different  ", recipe.different),
        _block("published  ", "; ".join(published) or "no figure that we could confirm"),
        _block("data       ", recipe.published.data),
        _block("protocol   ", recipe.published.protocol),
        _block("measured   ", measured_text(row) if row is None else f"balanced accuracy {figure_text(row)}"),
        _block("why        ", recipe.why_it_differs),
        _block("start      ", recipe.start),
        _block("state      ", state_text(recipe)),
        "",
        "How ours differs:",
        *(_block("- ", each) for each in recipe.deviations),
        "",
        "To train it:",
        *(f"  {each}" for each in commands(recipe)),
    ]
    return "\n".join(lines)


def published_text(recipe: Recipe) -> str:
    """Give the published figure that a table shows; a dash where there is none."""
    return figure_words(recipe.published.figures[0]) if recipe.published.figures else "-"


def figure_words(figure: Figure) -> str:
    """Such as "accuracy 0.9124"."""
    return f"{figure.metric} {figure.value:g}"


def measured_text(row: Mapping[str, Any] | None) -> str:
    """Give our balanced accuracy, or that nothing is measured."""
    return "not measured" if row is None else figure_text(row)


def state_text(recipe: Recipe) -> str:
    """Say whether a recipe is built, and what is missing."""
    missing = missing_parts(recipe)
    return f"not built: {', '.join(missing)}" if missing else "built"


def commands(recipe: Recipe) -> list[str]:
    """Give the commands that train a recipe; an ensemble takes one for every member, and one that joins them."""
    if not recipe.members:
        return [f"dermedge train --recipe {recipe.name} --data DATA"]
    runs = [f"runs/{recipe.name}-{number}" for number in range(1, len(recipe.members) + 1)]
    start = {"random": "", "pretrained": " --pretrained", "frozen": " --pretrained --freeze-image-branch"}[recipe.start]
    trained = [
        f"dermedge train --data DATA{_options({**recipe.own_settings, **member.settings})}{start} --run {run}"
        for member, run in zip(recipe.members, runs, strict=True)
    ]
    return [*trained, f"dermedge ensemble {' '.join(runs)} --run runs/{recipe.name}"]


def _options(settings: Settings) -> str:
    found = ""
    for name, value in settings.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            found += f" --{option}" if value else f" --no-{option}"
        else:
            found += f" --{option} {shlex.quote(str(value))}"
    return found


def _block(before: str, text: str) -> str:
    """Wrap a text, its further lines below the first's beginning."""
    return textwrap.fill(
        text, _WIDTH, initial_indent=before, subsequent_indent=" " * len(before), break_on_hyphens=False
    )
