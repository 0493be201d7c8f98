"""`dermedge evaluate`: a run and its model files in, or one file and any data set; their figures out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dermedge.api import evaluate as api
from dermedge.api.evaluate import MODELS, SCHEMA
from dermedge.api.train import RUNS
from dermedge_runtime.commands.option_types import model as model_named
from dermedge_runtime.devices.providers import DEVICES
from dermedge_runtime.errors import UsageError

from .option_values import any_text, choice, option, pairs, path
from .shared_options import (
    FUSION,
    IMAGE_BRANCH,
    MODEL_PANEL,
    OUTPUT_PANEL,
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

if TYPE_CHECKING:
    from dermedge.evaluation.evaluate import Evaluation
    from dermedge.evaluation.evaluate_file import FileEvaluation

DATA_PANEL = "Another data set"

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


_Model = Annotated[
    Path | None,
    option(DATA_PANEL, "Score this file, or a model in the box, on the data set of --data.", "--model", **path("file")),
]
_Schema = Annotated[
    str | None,
    option(DATA_PANEL, f"Schema of that data set: a shipped one by name, or a TOML file. [default: {SCHEMA}]",
           "--schema", **any_text("word or file")),
]  # fmt: skip
_Classes = Annotated[
    dict[str, str] | None,
    option(DATA_PANEL, "Its classes as the model's; others are left out. By default equal codes.", "--classes",
           **pairs("ACK=akiec")),
]  # fmt: skip
_Fields = Annotated[
    dict[str, str] | None,
    option(DATA_PANEL, "Its clinical fields as the model's, where their names differ.", "--fields",
           **pairs("gender=sex")),
]  # fmt: skip
_Missing = Annotated[
    bool, option(DATA_PANEL, "Leave its rows without a picture out, and say how many.", "--allow-missing-images")
]
_Out = Annotated[
    Path | None,
    option(
        OUTPUT_PANEL, "With --model: folder for metrics.json, predictions.csv and plots.", "--out", **path("folder")
    ),
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
    model: _Model = None,
    schema: _Schema = None,
    classes: _Classes = None,
    fields: _Fields = None,
    allow_missing_images: _Missing = False,
    out: _Out = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate the trained weights and every model file made from them.

    Model files are looked for in MODELS; where there is none, a temporary FP32 file is measured. The figures also go
    to metrics.json in the run's folder, every answer to predictions.csv, with plots beside them. With --model one file
    is scored on any data set instead, without a run.

    Examples:
      dermedge evaluate
      dermedge evaluate --fusion image_only --split validation
      dermedge evaluate --image-branch efficientnet_lite0 --fusion concat
      dermedge evaluate --run runs/mine --device openvino --json
      dermedge evaluate --model m.onnx --data d --classes MEL=mel,NEV=nv
    """
    asked: dict[str, Any] = {"device": device, "data": data, "flips": flips, "without_values": without_values}
    found: Evaluation | FileEvaluation
    if model is None:
        about_data = {"--schema": schema, "--classes": classes, "--fields": fields, "--out": out}
        if other := _given(about_data | {"--allow-missing-images": allow_missing_images or None}):
            raise UsageError(f"{other} is about --model: give both or neither.")
        found = api.evaluate(run_folder(run, runs, fusion, image_branch), models=models, split=split, **asked)
    else:
        about_run = {"--fusion": (fusion, FUSION), "--image-branch": (image_branch, IMAGE_BRANCH), "--run": (run, None),
                     "--runs": (runs, RUNS), "--split": (split, "test"), "--models": (models, MODELS)}  # fmt: skip
        if other := _given({name: value for name, (value, usual) in about_run.items() if value != usual}):
            raise UsageError(f"{other} is about a run, and --model scores a file without one: leave one of them out.")
        if data is None:
            raise UsageError("--model needs --data, the folder of the data set that the file is scored on.")
        asked |= {"schema": schema or SCHEMA, "classes": classes, "fields": fields, "out": out}
        found = api.evaluate_file(
            model_named("--model", str(model)), allow_missing_images=allow_missing_images, **asked
        )
    if as_json:
        print_json(found.to_record())
    else:
        typer.echo(found.to_text())


def _given(options: Mapping[str, object]) -> str | None:
    """Name of the first option that was given; None for none."""
    return next((name for name, value in options.items() if value is not None), None)
