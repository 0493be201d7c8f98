"""`dermedge evaluate`: a run and its model files in, their figures out."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from dermedge.require import extras
from dermedge_runtime.devices.providers import DEVICES

from .option_values import choice, option
from .shared_options import (
    FUSION,
    MODEL_PANEL,
    MODELS,
    RUN_PANEL,
    RUNS,
    AsJson,
    Data,
    Fusion,
    Models,
    RunPath,
    Runs,
    open_run,
    print_json,
)

_log = logging.getLogger(__name__)
_Split = Annotated[str, option(RUN_PANEL, "Part of the data.", **choice("test", "validation"))]
_Device = Annotated[str, option(MODEL_PANEL, "Where model files run.", **choice(*DEVICES))]
_Flips = Annotated[
    bool,
    option(MODEL_PANEL, "Mean over the picture, its mirror images and its half turn.", "--flips"),
]


def evaluate(
    fusion: Fusion = FUSION,
    run: RunPath = None,
    runs: Runs = RUNS,
    data: Data = None,
    split: _Split = "test",
    models: Models = MODELS,
    device: _Device = "cpu",
    flips: _Flips = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate the trained weights and every model file made from them.

    Model files are looked for in MODELS; where there is none, a temporary FP32 file is measured. The figures also go
    to metrics.json in the run's folder, with plots beside it.

    Examples:
      dermedge evaluate
      dermedge evaluate --fusion image_only --split validation
      dermedge evaluate --run runs/mine --device openvino --json
    """
    with extras("export"):
        from dermedge.evaluation.evaluate import evaluate_run
        from dermedge.tables import metrics_text
    opened = open_run(run, runs, fusion)
    found = evaluate_run(opened, models, split, device, data=data, flips=flips, log=_log.info)
    if as_json:
        print_json(found.to_record())
        return
    for name, scores in found.results.items():
        typer.echo(metrics_text(f"{name}, {found.title}", scores) + "\n")
