"""`dermedge calibrate`: a model file and its run in, the same file with other thresholds out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dermedge.api import calibrate as api
from dermedge.api.train import RUNS
from dermedge.decision_text import calibration_text
from dermedge_export.decision.asked import DEFAULT_COVERAGE, DEFAULT_SENSITIVITY

from .option_values import number, option, path
from .shared_options import (
    FUSION,
    IMAGE_BRANCH,
    OUTPUT_PANEL,
    AsJson,
    Data,
    Fusion,
    ImageBranch,
    RunPath,
    Runs,
    print_json,
    run_folder,
)

_PANEL = "Decision"
_Model = Annotated[Path, typer.Argument(help="Model file.", show_default=False, **{**path(), "metavar": "MODEL"})]
_Sensitivity = Annotated[
    float, option(_PANEL, "Share of urgent lesions that is referred, on validation.", "--sensitivity", **number(0, 1))
]
_Coverage = Annotated[
    float, option(_PANEL, "Share of lesions whose set holds their diagnosis.", "--coverage", **number(0, 1))
]
_Out = Annotated[
    Path | None, option(OUTPUT_PANEL, "Where the file goes; by default in the place of MODEL.", "--out", **path())
]


def calibrate(
    model: _Model,
    fusion: Fusion = FUSION,
    image_branch: ImageBranch = IMAGE_BRANCH,
    run: RunPath = None,
    runs: Runs = RUNS,
    data: Data = None,
    sensitivity: _Sensitivity = DEFAULT_SENSITIVITY,
    coverage: _Coverage = DEFAULT_COVERAGE,
    out: _Out = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate a model file: its probabilities, its prediction sets and its decision.

    Thresholds are found on the validation split of the run that the file was exported from, with the file itself;
    what they reach is measured on the test split. An export does this by itself, for the shares that are the defaults
    here.

    Examples:
      dermedge calibrate models/gated-int8.onnx --run runs/gated
      dermedge calibrate m.onnx --run runs/gated --sensitivity 0.9 --out n.onnx
    """
    from dermedge_runtime.model.model_file import read_model_file

    folder = run_folder(run, runs, fusion, image_branch)
    made = api.calibrate(model, folder, sensitivity=sensitivity, coverage=coverage, path=out, data=data)
    record = read_model_file(made.path).spec
    if as_json:
        print_json({**made.to_record(), "calibration": record.calibration})
        return
    typer.echo(f"{made.path}: {made.bytes / 1e6:.1f} MB, {made.parity.summary()}")
    typer.echo(calibration_text(record))
