"""A small comparison of recipes: the trunk of each, what is told of each, what is left out; stopped and resumed."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from comparisons import row_of, run_plan, small_plan
from safetensors.torch import load_file

from dermedge.data.files.content_hashes import hash_file
from dermedge.evaluation.comparison import own_recipes, planned_recipe, train_cell
from dermedge.evaluation.comparison.plan import Cell, Plan, check_plan, in_order, plan_recipe_cells
from dermedge.evaluation.comparison.planned_recipe import plan_recipes
from dermedge.evaluation.comparison.publish import publish
from dermedge.evaluation.comparison.recipe_plots import pareto_front
from dermedge.evaluation.comparison.recipe_publish import publish_recipes, recipes_comparison_text
from dermedge.evaluation.comparison.recipe_runs import recipe_files
from dermedge.evaluation.comparison.recipe_summary import asked_before
from dermedge.evaluation.comparison.results import write_results
from dermedge.evaluation.comparison.runs import VALIDATION
from dermedge.recipes.recipe import Recipe
from dermedge.recipes.recipe_file import load_recipe, parse_recipe
from dermedge.training.checkpoint import save_weights
from dermedge.training.members import recorded_members
from dermedge.training.predictions import trained_model
from dermedge.training.run import Run
from dermedge_runtime.errors import DermedgeError, UsageError

BEGIN = """
title = "A title"
authors = "Somebody"
year = 2026
different = "Nothing."
deviations = ["Ours is small."]
why_it_differs = "It is a test."
start = "pretrained"
[published]
data = "none"
protocol = "none"
[[published.figures]]
metric = "accuracy"
value = 0.99
of = "HAM10000"
source = "its abstract"
"""
RECIPES = {
    "gates": '[settings]\nfusion = "gated"\n[original]\nimage_branch = "resnet50"\n',
    "smooth": '[settings]\nfusion = "image_only"\nlabel_smoothing = 0.1\n',
    "never": '[settings]\nfusion = "image_only"\nsparkle = true\n',
    "icy": '[settings]\nfusion = "concat"\n',
    "many": '[settings]\nfusion = "concat"\nlabel_smoothing = 0.2\n[[members]]\nsettings = { image_size = 160 }\n'
    '[[members]]\nsettings = { image_size = 256, fusion = "image_only" }\n',
    "other": '[settings]\nfusion = "concat"\nimage_branch = "efficientnet_lite0"\n',
    "choosy": '[settings]\nfusion = "image_only"\nselect_features = 0.5\n',
    "table": '[settings]\nfusion = "clinical_only"\n',
}


ORIGINAL = {"image_branch": "efficientnet_lite0"}


def recipe(name: str) -> Recipe:
    begin = BEGIN.replace("pretrained", "frozen") if name == "icy" else BEGIN
    return parse_recipe((begin + RECIPES[name]).encode(), name, name)


@pytest.fixture(autouse=True)
def recipes_of_this_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of this file in the place of those that are shipped, which need what may not be there."""
    monkeypatch.setattr(planned_recipe, "load_recipe", recipe)
    monkeypatch.setattr(planned_recipe, "shipped_recipes", lambda: tuple(RECIPES))
    monkeypatch.setattr(own_recipes, "load_recipe", recipe)


def plan_of(root: Path, data: Path, recipes: str, **settings) -> Plan:
    plan = small_plan(root, data, "shared", fusions="image_only", **settings)
    planned, left_out = plan_recipes(recipes, pretrained=False)
    own = plan_recipe_cells(planned, "grouped", 1, "shared", "dermiresnet", pretrained=False)
    return replace(plan, cells=in_order((*plan.cells, *own)), recipes=planned, left_out=left_out)


def test_a_recipe_shares_the_trunk_where_its_fusion_alone_is_another() -> None:
    planned, left_out = plan_recipes("all", pretrained=True)
    trunks = {
        name: (each.trunk("shared", pretrained=True), each.image_branch("usual")) for name, each in planned.items()
    }
    assert trunks == {
        "gates": ("shared", "usual"), "smooth": ("own", "usual"), "icy": ("own", "usual"),
        "many": ("own", "usual"), "choosy": ("own", "usual"), "other": ("own", "efficientnet_lite0"),
        "table": ("none", "none"),
    }  # fmt: skip
    assert all(each.trunk("own", pretrained=True) != "shared" for each in planned.values())
    assert left_out == {"never": "not built: --sparkle"}
    _, without = plan_recipes("icy,choosy", pretrained=False)
    assert without == {
        "icy": "keeps trained weights as they are: add --pretrained",
        "choosy": "selects among trained features: add --pretrained",
    }


def test_cells_of_before_have_the_folders_of_before_and_recipes_their_own(tmp_path) -> None:
    plan = plan_of(tmp_path, tmp_path, "gates,smooth,icy", views=3)
    names = [cell.run_folder(Path()).path.as_posix() for cell in plan.cells]
    assert names == [
        "grouped/seed0/image_only", "grouped/seed0/image_only-shared", "grouped/seed0/recipe-gates-shared",
        "grouped/seed0/recipe-smooth",
    ]  # fmt: skip
    assert plan.cells[2].trunk_source == plan.cells[0] == Cell("grouped", 0, "image_only", "own")
    assert plan.settings(plan.cells[3]).label_smoothing == 0.1 and plan.settings(plan.cells[0]).label_smoothing == 0
    planned, _ = plan_recipes("icy,smooth", pretrained=True)
    own = plan_recipe_cells(planned, "grouped", 1, "shared", "dermiresnet", pretrained=True)
    (bare,) = plan_recipe_cells(
        {"icy": replace(planned["icy"], recipe=planned["icy"].recipe.model_copy(update={"original": ORIGINAL}))},
        "grouped", 1, "own", "dermiresnet", pretrained=True,
    )  # fmt: skip
    assert bare.image_branch == "efficientnet_lite0", "nobody has trained a dermiresnet that could be kept"
    frozen = replace(plan, recipes=planned, starts={"dermiresnet": "abc"})
    settings = [frozen.settings(cell) for cell in own]
    assert [(each.freeze_image_branch, each.feature_views, each.start_from) for each in settings] == [
        (True, 3, "abc"), (False, 0, "abc"),
    ]  # fmt: skip


def test_members_read_pictures_of_shares_of_the_comparisons_size(tmp_path) -> None:
    plan = plan_of(tmp_path, tmp_path, "many", image_size=64)
    one, other = plan.members(plan.cells[-1])
    assert [plan.settings(each).image_size for each in (one, other, plan.cells[-1])] == [40, 64, 64]
    assert [cell.member for cell in plan.trainings] == [0, 0, 1, 2]
    assert (plan.settings(one).fusion, plan.settings(other).fusion) == ("concat", "image_only")
    assert plan.cells[-1].fusion == "ensemble" and plan.settings(plan.cells[-1]).label_smoothing == 0.2
    assert other.run_folder(Path()).path.as_posix() == "grouped/seed0/recipe-many/member2"
    many = plan.recipes["many"]
    twice = replace(many, members=(many.members[0], *many.members))
    with pytest.raises(UsageError, match="With pictures of 64 pixels two networks of many are the same one"):
        check_plan(replace(plan, recipes={"many": twice}), [])


@pytest.mark.usefixtures("narrow_trunk")
def test_an_ensemble_is_trained_joined_and_measured_and_goes_on_where_it_was(
    synthetic_data, tmp_path, monkeypatch
) -> None:
    plan = plan_of(tmp_path, synthetic_data, "many", image_size=64)
    plan = replace(plan, cells=plan.cells[-1:])
    remaining = train_cell.remaining_epochs

    def stop(trainer):
        if trainer.config.fusion == "image_only":
            raise KeyboardInterrupt
        yield from remaining(trainer)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train_cell, "remaining_epochs", stop)
        run_plan(plan)
    folder = tmp_path / "grouped" / "seed0" / "recipe-many"
    first = (folder / "member1" / "weights.safetensors").stat().st_mtime_ns
    record, failed = run_plan(plan)
    assert failed == [] and (folder / "member1" / "weights.safetensors").stat().st_mtime_ns == first
    (row,) = record["rows"]
    assert (row["recipe"], row["fusion"], row["seeds"], row["image_size"]) == ("many", "ensemble", [0], 64)
    assert row["start"] == "random weights"
    members = [trained_model(Run.open(folder / f"member{number}")) for number in (1, 2)]
    assert row["parameters"] == sum(each.numel() for model in members for each in model.parameters())
    assert Run.open(folder).record["recipe"] == {"name": "many", "reference": "Somebody 2026"}
    results = (folder / "results.json").read_bytes()
    (folder / "results.json").unlink()
    run_plan(plan)
    assert (folder / "results.json").read_bytes() == results

    member = folder / "member1" / "weights.safetensors"
    save_weights(member, {name: 2 * tensor for name, tensor in load_file(member).items()})
    (folder / "results.json").unlink()
    run_plan(plan)
    joined = recorded_members(Run.open(folder))[0].record["weights_sha256"]
    assert joined == Run.open(folder / "member1").weights_sha256, "a member was trained anew, and the ensemble joined"


def test_names_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="--recipes takes names of recipes"):
        plan_recipes(" ,", pretrained=False)
    with pytest.raises(UsageError, match="Two recipes are called gates"):
        plan_recipes("gates,folder/gates.toml", pretrained=False)


def test_a_recipe_of_ones_own_is_kept_with_the_comparison(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(planned_recipe, "load_recipe", load_recipe)
    monkeypatch.setattr(own_recipes, "load_recipe", load_recipe)
    mine = tmp_path / "mine.toml"
    mine.write_text(BEGIN + RECIPES["gates"], encoding="utf-8")
    planned, left_out = plan_recipes(f"{mine},ou2022", pretrained=False)
    assert ([*planned], left_out) == (["mine", "ou2022"], {})
    root = tmp_path / "comparison"
    own_recipes.keep_own(root, planned)
    mine.unlink()
    assert own_recipes.recipe_of(root, "mine") == planned["mine"].recipe
    assert own_recipes.recipe_of(root, "ou2022").authors == "Ou et al."
    mine.write_text(BEGIN + RECIPES["never"], encoding="utf-8")
    with pytest.raises(DermedgeError, match="The recipe mine needs what this version of dermedge has not: --sparkle"):
        plan_recipes(str(mine), pretrained=False)


def test_nothing_of_the_front_is_beaten() -> None:
    assert pareto_front([(3, 0.7), (1, 0.5), (2, 0.4), (1, 0.3), (4, 0.7), (5, 0.9)]) == [(1, 0.5), (3, 0.7), (5, 0.9)]


@pytest.mark.slow
@pytest.mark.usefixtures("narrow_trunk")
def test_from_the_plan_to_the_page_stopped_and_resumed(synthetic_data, tmp_path, monkeypatch) -> None:
    wanted = "gates,smooth,never"
    whole = plan_of(tmp_path / "whole", synthetic_data, wanted, epochs=2)
    record, failed = run_plan(whole)
    assert failed == []
    gates, smooth, never = record["rows"][2:]
    assert (gates["recipe"], gates["trunk"], smooth["trunk"], never["left_out"]) == (
        "gates", "shared", "own", "not built: --sparkle",
    )  # fmt: skip
    folder = tmp_path / "whole" / "grouped" / "seed0"
    trunk, own = (load_file(folder / name / "weights.safetensors") for name in ("image_only", "recipe-gates-shared"))
    shared = [name for name in own if name.startswith("trunk.")]
    assert shared and all((own[name] == trunk[name]).all() for name in shared)
    assert Run.open(folder / "recipe-smooth").record["recipe"] == {"name": "smooth", "reference": "Somebody 2026"}
    results = json.loads((folder / "recipe-smooth" / "results.json").read_text(encoding="utf-8"))
    figure = smooth["figures"]["accuracy"]
    assert figure["mean"] == pytest.approx(results["scores"]["accuracy"]) and figure["values"] == [figure["mean"]]
    assert figure["low"] <= figure["mean"] <= figure["high"]
    assert gates["literature"]["published"]["value"] == 0.99 and never["seeds"] == []
    for row, name in ((gates, "image_only-shared"), (smooth, "image_only")):
        baseline = json.loads((folder / name / "results.json").read_text(encoding="utf-8"))["scores"]["accuracy"]
        gain = row["difference"]["accuracy"]
        assert gain["value"] == pytest.approx(row["figures"]["accuracy"]["mean"] - baseline), name
        assert gain["low"] <= gain["value"] <= gain["high"] and row["difference"]["seeds"] == [0]
        assert row["difference"]["baseline"] == ["dermiresnet", "image_only", row["trunk"]]
    assert record["rows"][0]["difference"] is None and never["difference"] is None
    assert smooth[VALIDATION]["mean"] == results[VALIDATION]

    text = recipes_comparison_text(record)
    assert "grouped, smooth" in text and "accuracy 0.99 (HAM10000)" in text and "never: not built: --sparkle" in text
    page = (tmp_path / "whole" / "report.html").read_text(encoding="utf-8")
    assert "It is a test." in page and "not built: --sparkle" in page and "dermiresnet for resnet50" in page
    assert not re.search(r"<script|<link|src=\"(?!data:)", page)
    with (tmp_path / "whole" / "recipes.csv").open(encoding="utf-8", newline="") as stream:
        lines = {line["recipe"]: line for line in csv.DictReader(stream)}
    assert float(lines["smooth"]["accuracy"]) == pytest.approx(figure["mean"]) and lines["never"]["accuracy"] == ""
    again = publish_recipes(whole.root, tmp_path / "again.html", asked_before(whole.root))
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(record))
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page
    fusions = publish(whole.root, tmp_path / "fusions.html")
    assert [row["trunk"] for row in fusions["rows"]] == ["own", "shared"] and row_of(fusions, "image_only", "own")

    remaining = train_cell.remaining_epochs

    def stop(trainer):
        for row in remaining(trainer):
            yield row
            if trainer.config.label_smoothing:
                raise KeyboardInterrupt

    path = folder / "recipe-smooth" / "image_only-int8.onnx"
    path.write_bytes(b"small")
    write_results(path.parent, {**results, "int8": {"limits": {}, "bytes": 5}})
    assert recipe_files(whole.root) == {"grouped/recipe-smooth": path}
    timed = {"sha256": hash_file(path), "network": {"median_ms": 4.5}, "end_to_end": {"median_ms": 6.5}}
    about = {"date": "today", "machine": {"cpu": "one", "cpus": 1, "of": 2}, "versions": {}}
    (whole.root / "latency.json").write_text(json.dumps({**about, "rows": {"grouped/recipe-smooth": timed}}))
    measured = publish_recipes(whole.root, tmp_path / "fast.html", asked_before(whole.root))
    assert measured["rows"][3]["latency"] == {"median_ms": 4.5, "end_to_end_median_ms": 6.5}
    assert (tmp_path / "fast.html").read_text(encoding="utf-8").count("data:image/png;base64,") == 1
    path.write_bytes(b"other")
    assert publish_recipes(whole.root, tmp_path / "x.html", asked_before(whole.root))["rows"][3]["latency"] is None
    (whole.root / "latency.json").unlink()
    write_results(path.parent, {**results, "int8": {"limits": {}, "refused": "It loses too much."}})
    publish_recipes(whole.root, tmp_path / "refused.html", asked_before(whole.root))
    assert '<span title="It loses too much.">refused</span>' in (tmp_path / "refused.html").read_text(encoding="utf-8")

    before = (folder / "recipe-smooth" / "predictions.csv").read_bytes()
    shutil.rmtree(folder / "recipe-smooth")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train_cell, "remaining_epochs", stop)
        run_plan(whole)
    begun = publish_recipes(whole.root, tmp_path / "begun.html", asked_before(whole.root))
    assert begun["rows"][3]["begun_seeds"] == [0] and "seed 0 begun" in recipes_comparison_text(begun)
    resumed, _ = run_plan(whole)
    assert resumed["rows"] == record["rows"]
    assert (folder / "recipe-smooth" / "predictions.csv").read_bytes() == before


def test_a_page_needs_a_comparison(tmp_path) -> None:
    with pytest.raises(DermedgeError, match="There is no comparison of recipes in"):
        asked_before(tmp_path)
    (tmp_path / "recipes.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DermedgeError, match=r"recipes\.json is damaged"):
        asked_before(tmp_path)
