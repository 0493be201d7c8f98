"""`dermedge card`: a model file and its run in, the model card out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from dermedge.api.train import RUNS
from dermedge.require import extras
from dermedge_runtime.errors import UsageError

from .option_values import any_text, option, path
from .shared_options import (
    FUSION,
    IMAGE_BRANCH,
    OUTPUT_PANEL,
    Data,
    Fusion,
    ImageBranch,
    RunPath,
    Runs,
    run_folder,
)

_log = logging.getLogger(__name__)
_Model = Annotated[Path, typer.Argument(help="Model file.", show_default=False, **{**path(), "metavar": "MODEL"})]
_Notes = Annotated[
    list[str] | None,
    option(OUTPUT_PANEL, "A paragraph on data or training; may be given several times.", "--note", **any_text("text")),
]
_Out = Annotated[
    Path | None,
    option(OUTPUT_PANEL, "Where the card goes; by default beside the file, with .md at its end.", **path()),
]


def card(
    model: _Model,
    fusion: Fusion = FUSION,
    image_branch: ImageBranch = IMAGE_BRANCH,
    run: RunPath = None,
    runs: Runs = RUNS,
    data: Data = None,
    notes: _Notes = None,
    out: _Out = None,
) -> None:
    """Measure a model file on its run's test split and write its card.

    Figures with intervals by lesion, per class and per group of patients; data, licence, training and limits. The run
    is the one that the file was exported from.

    Examples:
      dermedge card models/gated-int8.onnx --fusion gated
      dermedge card m.onnx --run runs/gated --note "Two GPUs." --out CARD.md
    """
    with extras("export"):
        from dermedge.evaluation.card import model_card
        from dermedge.training.run import Run
        from dermedge.training.run_folder import RunFolder
    from dermedge_runtime.files import refuse_overwriting, write_text

    out = out or model.with_suffix(".md")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file.")
    folder = run_folder(run, runs, fusion, image_branch)
    refuse_overwriting(out, [model, *RunFolder(folder).own_files()])  # a damaged run is not to be replaced either
    opened = Run.open(folder)
    refuse_overwriting(out, opened.inputs(data))
    write_text(out, model_card(opened, model, data=data, notes=tuple(notes or ())))
    _log.info("written to %s", out)
