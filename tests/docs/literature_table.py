"""The tables of the page on the literature, made from the recipes and from what was measured of them.

`python tests/docs/literature_table.py` writes them anew; a test compares them. Everything else on the page is written
by hand.
"""

import re
from pathlib import Path

from dermedge.evaluation.comparison.recipe_publish import difference_of
from dermedge.recipes.listing import published_text, state_text
from dermedge.recipes.measured import PROTOCOL, figure_text, measured_record
from dermedge.recipes.recipe import Recipe
from dermedge.recipes.recipe_file import load_recipe, shipped_recipes

PAGE = Path(__file__).parents[2] / "docs" / "literature.md"
_HEADER = (
    "system", "published", "balanced accuracy here", "to images alone, points", "accuracy", "melanoma recall",
    "macro AUC", "calibration error", "INT8", "image branch", "seeds",
)  # fmt: skip
_FIGURES = ("balanced_accuracy", "accuracy", "recall_at_90_specificity", "auc", "calibration_error")


def with_tables(text: str) -> str:
    """Give the page's text with both parts as they are now."""
    recipes = [load_recipe(name) for name in shipped_recipes()]
    parts = (
        ("table of the literature", "table", _table(recipes)),
        ("reasons of the literature", "reasons", _reasons(recipes)),
    )
    for begin, end, made in parts:
        marks = re.compile(rf"(<!-- {begin} -->\n).*?(<!-- end of the {end} -->)", re.DOTALL)
        assert marks.search(text), begin
        text = marks.sub(lambda found, made=made: f"{found[1]}\n{made}\n\n{found[2]}", text)
    return text


def _table(recipes: list[Recipe]) -> str:
    record = measured_record() or {"rows": []}
    rows = [row for row in record["rows"] if row["protocol"] == PROTOCOL and row["seeds"]]
    by_recipe = {row["recipe"]: row for row in rows if row["recipe"]}
    lines = [_line(f"ours: {row['fusion']} ({row['trunk']})", "-", row) for row in rows if not row["recipe"]]
    for recipe in recipes:
        name = f"[`{recipe.name}`]({recipe.link})" if recipe.link else f"`{recipe.name}`"
        row = by_recipe.get(recipe.name)
        state = "" if row or state_text(recipe) == "built" else f"; {state_text(recipe)}"
        lines.append(_line(f"{name} {recipe.reference}{state}", published_text(recipe), row))
    return "\n".join([f"| {' | '.join(_HEADER)} |", "|" + "---|" * len(_HEADER), *lines])


def _line(name: str, published: str, row: dict | None) -> str:
    figures = [figure_text(row, each) for each in _FIGURES]
    figures.insert(1, difference_of(row or {}))
    if row is None:
        figures[0] = "not measured"
    size, latency = ((row or {}).get(key) or {} for key in ("int8", "latency"))
    file = f"{size['bytes'] / 1e6:.1f} MB" if "bytes" in size else "refused" if size else "-"
    if "median_ms" in latency:
        file += f", {latency['median_ms']:.1f} ms"
    branch = f"{row['image_branch']}, {row['trunk']}" if row else "-"
    seeds = str(len(row["seeds"])) if row else "-"
    return f"| {' | '.join([name, published, *figures, file, branch, seeds])} |"


def _reasons(recipes: list[Recipe]) -> str:
    return "\n".join(["| system | why the figures differ | how ours differs |", "|---|---|---|", *(
        f"| `{each.name}` | {each.why_it_differs} | {' '.join(each.deviations)} |" for each in recipes
    )])  # fmt: skip


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
