"""`dermedge compare`: options in, the comparison run or its page rebuilt, the table out."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from dermedge.asked_settings import AskedSettings
from dermedge.evaluation.comparison.rows import BASELINE, OWN
from dermedge.require import extras
from dermedge.training.run_names import PAPERS_BRANCH
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.files import refuse_overwriting

from .option_values import any_text, choice, option, path, whole
from .setting_options import with_settings
from .shared_options import OUTPUT_PANEL, AsJson, MaxDrop, MinAgreement, MinHeatmap

_PANEL = "What is compared"
_MODEL_PANEL = "Model files"
_OWN = (
    "fusion",
    "image_branch",
    "protocol",
    "seed",
    "split_seed",
    "freeze_image_branch",
    "temperature",
    "teacher_weight",
)
"""Settings that a comparison chooses itself, for every training, or has no use for."""

_Folder = Annotated[Path, option(OUTPUT_PANEL, "Runs and results.", **path("folder"))]
_Fusions = Annotated[
    str | None,
    option(
        _PANEL,
        "Comma-separated; all: the paper's, further: the others. By default all, or image_only,concat with --recipes.",
        **any_text("words"),
    ),
]
_Recipes = Annotated[
    str | None,
    option(
        _PANEL,
        "Systems of the literature (dermedge recipes) or recipe files, comma-separated, or all: trained and measured"
        " beside ours.",
        **any_text("words"),
    ),
]
_Branches = Annotated[str, option(_PANEL, "Comma-separated.", "--image-branches", **any_text("words"))]
_Protocols = Annotated[str, option(_PANEL, "Comma-separated.", **any_text("words"))]
_Seeds = Annotated[int, option(_PANEL, "0 to SEEDS - 1, also splits'.", **whole(1, 100))]
_Trunk = Annotated[
    str,
    option(
        _PANEL,
        "own: every fusion end to end. shared: image_only once per branch, protocol and seed, then heads on it.",
        **choice("own", "shared"),
    ),
]
_HeadEpochs = Annotated[
    int | None,
    option(_PANEL, "Epochs of heads on a shared trunk; by default EPOCHS.", **whole(1)),
]
_Pretrained = Annotated[
    bool,
    option(_PANEL, "Branches that others have trained start from those weights.", "--pretrained"),
]
_Download = Annotated[
    bool,
    option(_PANEL, "Open a connection for them if they are not here.", "--download"),
]
_StartFrom = Annotated[
    Path | None,
    option(
        _PANEL,
        "Run whose image branch all take (shared) or start from (own), with its split; --seeds are of the trainings.",
        **path("folder"),
    ),
]
_FormerTrunk = Annotated[str | None, typer.Option("--image-branch", hidden=True)]
_Int8 = Annotated[bool, option(_MODEL_PANEL, "Export and measure INT8 files.")]
_Latency = Annotated[bool, option(_MODEL_PANEL, "Time the INT8 files at the end.")]
_Report = Annotated[
    Path | None,
    option(OUTPUT_PANEL, "Only rebuild this page, from the results that are in FOLDER.", **path()),
]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be compared."""

    folder: Path
    page: Path
    settings: AskedSettings
    fusions: str
    recipes: str | None
    image_branches: str
    protocols: str
    seeds: int
    trunk: str
    head_epochs: int | None
    start_from: Path | None
    pretrained: bool
    download: bool
    latency: bool


@with_settings(without=_OWN)
def compare(
    asked: AskedSettings,
    fusions: _Fusions = None,
    recipes: _Recipes = None,
    image_branches: _Branches = PAPERS_BRANCH,
    protocols: _Protocols = "grouped,paper",
    seeds: _Seeds = 3,
    trunk: _Trunk = "own",
    head_epochs: _HeadEpochs = None,
    start_from: _StartFrom = None,
    pretrained: _Pretrained = False,
    download: _Download = False,
    int8: _Int8 = True,
    latency: _Latency = True,
    min_agreement: MinAgreement = None,
    max_drop: MaxDrop = None,
    min_heatmap: MinHeatmap = None,
    folder: _Folder = Path("runs/compare"),
    report: _Report = None,
    as_json: AsJson = False,
    image_branch: _FormerTrunk = None,
) -> None:
    """Compare the fusions as the paper's tables 6 and 7 do, and write one page.

    What is missing is trained and measured. Stopped or killed, the same command goes on where it was. The page is
    FOLDER/report.html. The settings hold for every training. Clinical values alone are trained once, not per branch.
    With --recipes the page is FOLDER/recipes.html; a recipe that names no image branch takes the first one.

    Examples:
      dermedge compare --data data/ham10000
      dermedge compare --data data/ham10000 --fusions gated,concat --seeds 1
      dermedge compare --data data/ham10000 --trunk shared --epochs 30
      dermedge compare --fusions image_only,further --seeds 1
      dermedge compare --image-branches dermiresnet,resnet18 --seeds 1
      dermedge compare --recipes ou2022,metanet --trunk shared --seeds 1
      dermedge compare --report page.html
    """
    if image_branch in ("own", "shared"):
        raise UsageError(f"--image-branch is now called --trunk: write --trunk {image_branch}.")
    if image_branch is not None:
        raise UsageError(f"A comparison takes several image branches: write --image-branches {image_branch}.")
    if download and not pretrained:
        raise UsageError("--download is for --pretrained: give both or neither.")
    with extras("export"):
        from dermedge.evaluation.comparison.publish import PAGE, comparison_text, publish
        from dermedge.evaluation.comparison.recipe_publish import (
            RECIPES_PAGE,
            publish_recipes,
            recipes_comparison_text,
        )
        from dermedge.evaluation.comparison.recipe_summary import asked_before
        from dermedge_export.check.parity import limits_from_percent
    page, failed = report or folder / (PAGE if recipes is None else RECIPES_PAGE), list[str]()
    if fusions is None:
        fusions = "all" if recipes is None else f"{BASELINE},concat"
    if page.is_dir():
        raise UsageError(f"--report {page} is a folder; name a file.")
    if report is not None:
        _check_rebuilding(asked, folder, page)
        record = publish(folder, page) if recipes is None else publish_recipes(folder, page, asked_before(folder))
    else:
        limits = limits_from_percent("int8", min_agreement, max_drop, min_heatmap) if int8 else None
        wanted = _Wanted(folder, page, asked, fusions, recipes, image_branches, protocols, seeds, trunk, head_epochs,
                         start_from, pretrained, download, latency)  # fmt: skip
        record, failed = _run(wanted, limits)
    as_text = comparison_text if recipes is None else recipes_comparison_text
    typer.echo(json.dumps(record, indent=2, allow_nan=False) if as_json else as_text(record))
    if failed:
        raise DermedgeError(
            f"{len(failed)} trainings failed and are missing: {' '.join(failed)} Remove a run folder to train it anew."
        )


def _check_rebuilding(asked: AskedSettings, folder: Path, page: Path) -> None:
    if "data" in asked.given:
        raise UsageError("--report only rebuilds the page from results that are there: leave --data out.")
    if not folder.is_dir():
        raise DermedgeError(f"There is no comparison in {folder}. Run `dermedge compare --data ...` first.")
    refuse_overwriting(page, (file for file in folder.rglob("*") if file.suffix not in (".html", ".png")))


def _run(wanted: _Wanted, limits: Any) -> tuple[Any, list[str]]:
    if os.environ.get("WORLD_SIZE", "1") not in ("", "1"):
        raise UsageError("A comparison is the work of one process: torchrun is for `dermedge train`.")
    with extras("export"):
        from dermedge.data.ham10000 import read_samples
        from dermedge.evaluation.comparison.compare import compare_fusions
        from dermedge.evaluation.comparison.given_trunk import GivenTrunk
        from dermedge.evaluation.comparison.plan import (
            Plan,
            choose_branches,
            in_order,
            plan_cells,
            plan_recipe_cells,
            start_hashes,
        )
        from dermedge.evaluation.comparison.planned_recipe import plan_recipes
        from dermedge.training.chosen_settings import chosen_settings
        from dermedge.training.start_weights import Pretrained
    given = None if wanted.start_from is None else GivenTrunk.open(wanted.start_from)
    cells = plan_cells(
        wanted.fusions, wanted.protocols, wanted.seeds, wanted.trunk, wanted.image_branches, given=given is not None
    )
    planned, left_out = (
        ({}, {}) if wanted.recipes is None else plan_recipes(wanted.recipes, pretrained=wanted.pretrained)
    )
    usual = choose_branches(wanted.image_branches)[0]
    of_recipes = plan_recipe_cells(
        planned, wanted.protocols, wanted.seeds, wanted.trunk, usual, pretrained=wanted.pretrained or given is not None
    )
    cells = in_order((*cells, *of_recipes))
    request = wanted.settings.values
    if request.prior_shift == "auto" and any(cell.protocol != "grouped" for cell in cells):
        raise UsageError("--prior-shift auto needs a validation split, which paper has not: add --protocols grouped.")
    base = chosen_settings(request)
    samples = read_samples(Path(request.data) if request.data else None)
    others = Pretrained(wanted.download) if wanted.pretrained else None
    if given is not None:
        given.check({cell.protocol for cell in cells}, set(choose_branches(wanted.image_branches)), base)
    epochs, views = wanted.head_epochs or base.epochs, request.feature_views
    plan = Plan(wanted.folder, cells, base, epochs, views, others, {}, planned, left_out, given, usual)
    if others is not None:
        rest = [cell for cell in plan.trainings if cell.trunk == OWN and not plan.takes_given(cell)]
        plan = replace(plan, starts=start_hashes(others, rest, base) if rest or given is None else {})
    return compare_fusions(plan, samples, page=wanted.page, int8_limits=limits, latency=wanted.latency)
