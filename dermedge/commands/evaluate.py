"""`dermedge evaluate`: a run and its model files in, their figures out."""

from __future__ import annotations

from typing import Annotated

import typer

from dermedge.api import evaluate as api
from dermedge.api.evaluate import MODELS
from dermedge.api.train import RUNS
from dermedge_runtime.devices.providers import DEVICES

from .option_values import choice, option
from .shared_options import (
    FUSION,
    IMAGE_BRANCH,
    MODEL_PANEL,
    RUN_PANEL,
    AsJson,
    Data,
    Fusion,
    ImageBranch,
    Models,
    RunPath,
    Runs,
    print_json,
    run_folder,
)

_Split = Annotated[str, option(RUN_PANEL, "Part of the data.", **choice("test", "validation"))]
_Device = Annotated[str, option(MODEL_PANEL, "Where model files run.", **choice(*DEVICES))]
_Flips = Annotated[
    bool,
    option(MODEL_PANEL, "Mean over the picture, its mirror images and its half turn.", "--flips"),
]
_WithoutValues = Annotated[
    bool,
    option(MODEL_PANEL, "Also figures without clinical values, and without each of them alone.", "--without-values"),
]


def evaluate(
    fusion: Fusion = FUSION,
    image_branch: ImageBranch = IMAGE_BRANCH,
    run: RunPath = None,
    runs: Runs = RUNS,
    data: Data = None,
    split: _Split = "test",
    models: Models = MODELS,
    device: _Device = "cpu",
    flips: _Flips = False,
    without_values: _WithoutValues = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate the trained weights and every model file made from them.

    Model files are looked for in MODELS; where there is none, a temporary FP32 file is measured. The figures also go
    to metrics.json in the run's folder, with plots beside it.

    Examples:
      dermedge evaluate
      dermedge evaluate --fusion image_only --split validation
      dermedge evaluate --image-branch efficientnet_lite0 --fusion concat
      dermedge evaluate --run runs/mine --device openvino --json
    """
    found = api.evaluate(
        run_folder(run, runs, fusion, image_branch),
        models=models,
        split=split,
        device=device,
        data=data,
        flips=flips,
        without_values=without_values,
    )
    if as_json:
        print_json(found.to_record())
        return
    from dermedge.tables import metrics_text, unknown_values_text

    for name, scores in found.results.items():
        typer.echo(metrics_text(f"{name}, {found.title}", scores) + "\n")
        if without_values:
            typer.echo(unknown_values_text(scores["unknown_values"]) + "\n")
