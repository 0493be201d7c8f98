"""`dermedge compare`: options in, the comparison run or its page rebuilt, the table out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from dermedge.require import extras
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.files import refuse_overwriting

from .option_types import FilePath, FiniteRange
from .train_options import common_train_options


def _log(line: str) -> None:
    click.echo(line, err=True)


@click.command()
@click.option("--data", type=FilePath(), help="Data folder.")
@click.option("--folder", default="runs/compare", type=FilePath(), show_default=True, help="Runs and results.")
@click.option("--fusions", default="all", show_default=True, help="Comma-separated.")
@click.option("--protocols", default="grouped,paper", show_default=True, help="Comma-separated.")
@click.option(
    "--seeds", default=3, show_default=True, type=click.IntRange(1, 100), help="0 to SEEDS - 1, also splits'."
)
@click.option(
    "--image-branch",
    default="own",
    show_default=True,
    type=click.Choice(["own", "shared"]),
    help="own: every fusion end to end. shared: image_only once per protocol and seed, then heads on its features.",
)
@click.option("--head-epochs", type=click.IntRange(1), help="Epochs of such heads; by default EPOCHS.")
@click.option(
    "--feature-views", default=8, show_default=True, type=click.IntRange(0, 64), help="Augmented copies they see."
)
@click.option("--int8/--no-int8", default=True, show_default=True, help="Export and measure INT8 files.")
@click.option("--latency/--no-latency", default=True, show_default=True, help="Time the INT8 files at the end.")
@click.option("--min-agreement", type=FiniteRange(0, 100), help="Least class agreement of INT8, percent.")
@click.option("--max-drop", type=FiniteRange(0, 100), help="Largest loss of balanced accuracy of INT8, points.")
@click.option("--min-heatmap", type=FiniteRange(-1, 1), help="Least median correlation of INT8's heat maps.")
@click.option("--report", type=FilePath(), help="Only rebuild this page, from the results that are in FOLDER.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@common_train_options
def compare(folder: Path, report: Path | None, as_json: bool, **options: Any) -> None:
    """Compare the fusions as the paper's tables 6 and 7 do: train what is missing, measure, write one page.

    Stopped or killed, the same command goes on where it was. The page is FOLDER/report.html.
    """
    with extras("export"):
        from dermedge.evaluation.comparison.publish import PAGE, comparison_text, publish
    page = report or folder / PAGE
    if page.is_dir():
        raise UsageError(f"--report {page} is a folder; name a file.")
    failed: list[str] = []
    if report is not None:
        if options["data"] is not None:
            raise UsageError("--report only rebuilds the page from results that are there: leave --data out.")
        if not folder.is_dir():
            raise DermedgeError(f"There is no comparison in {folder}. Run `dermedge compare --data ...` first.")
        refuse_overwriting(page, (path for path in folder.rglob("*") if path.suffix not in (".html", ".png")))
        record = publish(folder, page, _log)
    else:
        record, failed = _run(folder, page, **options)
    click.echo(json.dumps(record, indent=2, allow_nan=False) if as_json else comparison_text(record))
    if failed:
        raise DermedgeError(
            f"{len(failed)} trainings failed and are missing: {' '.join(failed)} Remove a run folder to train it anew."
        )


def _run(
    folder: Path,
    page: Path,
    *,
    data: Path | None,
    fusions: str,
    protocols: str,
    seeds: int,
    image_branch: str,
    head_epochs: int | None,
    feature_views: int,
    int8: bool,
    latency: bool,
    min_agreement: float | None,
    max_drop: float | None,
    min_heatmap: float | None,
    **training: Any,
) -> tuple[Any, list[str]]:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("A comparison is the work of one process: torchrun is for `dermedge train`.")
    with extras("export"):
        from dermedge.data.ham10000 import read_samples
        from dermedge.evaluation.comparison.compare import compare_fusions
        from dermedge.evaluation.comparison.plan import Plan, plan_cells
        from dermedge.training.train import settings_from_options
        from dermedge_export.check.parity import limits_from_percent
    cells = plan_cells(fusions, protocols, seeds, image_branch)
    base = settings_from_options({"data": data, **training})
    plan = Plan(folder, cells, base, head_epochs or base.epochs, feature_views)
    limits = limits_from_percent("int8", min_agreement, max_drop, min_heatmap) if int8 else None
    samples = read_samples(data, _log)
    return compare_fusions(plan, samples, page=page, int8_limits=limits, latency=latency, log=_log)
