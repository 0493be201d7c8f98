"""Options that several commands of the workshop have: the run, the model files, the limits of a comparison, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from dermedge.require import extras
from dermedge.training.run_names import PAPERS_BRANCH, run_name

from .option_values import any_text, number, option, path

if TYPE_CHECKING:
    from dermedge.training.run import Run

RUN_PANEL = "Run"
MODEL_PANEL = "Model files"
OUTPUT_PANEL = "Output"
LIMITS_PANEL = "Limits that a file must keep"

Fusion: TypeAlias = Annotated[str, option(RUN_PANEL, "Fusion of the run.", "--fusion", **any_text("word"))]
ImageBranch: TypeAlias = Annotated[
    str, option(RUN_PANEL, "Image branch of the run.", "--image-branch", **any_text("word"))
]
RunPath: TypeAlias = Annotated[
    Path | None,
    option(RUN_PANEL, "Run folder; by default RUNS/FUSION, or RUNS/BRANCH-FUSION.", "--run", **path("folder")),
]
Runs: TypeAlias = Annotated[Path, option(RUN_PANEL, "Folder of all runs.", "--runs", **path("folder"))]
Data: TypeAlias = Annotated[
    Path | None,
    option(RUN_PANEL, "Data folder; by default the run's own.", "--data", **path("folder")),
]
Models: TypeAlias = Annotated[Path, option(MODEL_PANEL, "Folder of exported models.", "--models", **path("folder"))]
AsJson: TypeAlias = Annotated[bool, option(OUTPUT_PANEL, "Print JSON instead of text.", "--json")]
MinAgreement: TypeAlias = Annotated[
    float | None,
    option(LIMITS_PANEL, "Least class agreement, percent.", "--min-agreement", **number(0, 100)),
]
MaxDrop: TypeAlias = Annotated[
    float | None,
    option(
        LIMITS_PANEL,
        "Largest loss of balanced accuracy and of melanoma recall, points.",
        "--max-drop",
        **number(0, 100),
    ),
]
MinHeatmap: TypeAlias = Annotated[
    float | None,
    option(LIMITS_PANEL, "Least median correlation of the heat maps.", "--min-heatmap", **number(-1, 1)),
]

FUSION = "cross_attention"
IMAGE_BRANCH = PAPERS_BRANCH


def print_json(record: Any) -> None:
    """Print a record on standard output."""
    typer.echo(json.dumps(record, indent=2, allow_nan=False))


def run_folder(run_path: Path | None, runs: Path, fusion: str, image_branch: str) -> Path:
    """Give the run folder that options name.

    :raises UsageError: an unknown fusion or image branch; the message names the nearest.
    :raises DermedgeError: torch is not installed.
    """
    with extras():
        from dermedge.config import EMBEDDINGS
        from dermedge.models.branches.families import family_of
        from dermedge.models.fusion import modalities
    modalities(fusion)
    if image_branch != EMBEDDINGS:  # which stands there where embeddings are given
        family_of(image_branch)
    return run_path or runs / run_name(image_branch, fusion)


def open_run(run_path: Path | None, runs: Path, fusion: str, image_branch: str) -> Run:
    """Open the run that options name.

    :raises UsageError: as `run_folder`.
    :raises DermedgeError: no run there, or a damaged one.
    """
    from dermedge.training.run import Run

    return Run.open(run_folder(run_path, runs, fusion, image_branch))
