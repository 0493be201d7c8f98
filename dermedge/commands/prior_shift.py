"""`dermedge prior-shift`: a trained run and a tau in, the same run with other class priors out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from dermedge.api.train import RUNS
from dermedge.config import RequestedSettings
from dermedge.require import extras
from dermedge.setting_fields import settings_of
from dermedge.tables import table

from .option_values import of_setting
from .shared_options import (
    FUSION,
    IMAGE_BRANCH,
    AsJson,
    Data,
    Fusion,
    ImageBranch,
    RunPath,
    Runs,
    print_json,
    run_folder,
)

_TAU = of_setting(next(each for each in settings_of(RequestedSettings) if each.name == "prior_shift"))
_Tau = Annotated[
    float,
    typer.Argument(help="auto, or TAU.", show_default=False, **{**_TAU, "metavar": "TAU"}),
]


def prior_shift(
    tau: _Tau,
    fusion: Fusion = FUSION,
    image_branch: ImageBranch = IMAGE_BRANCH,
    run: RunPath = None,
    runs: Runs = RUNS,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Shift the class priors of a trained run, without training it again.

    TAU x the log of the classes' frequencies in training is taken off the logits; 0 takes a shift back. auto tries 0 to
    1.5 and takes the best balanced accuracy on validation. Export again afterwards: files from before are of other
    weights.

    Examples:
      dermedge prior-shift auto --run runs/gated
      dermedge prior-shift 0.5
    """
    with extras("train"):
        from dermedge.training.training_job import shift_priors
    record = shift_priors(run_folder(run, runs, fusion, image_branch), tau, data)
    if as_json:
        print_json(record)
        return
    typer.echo(_text(record))


def _text(record: dict[str, Any]) -> str:
    if "grid" not in record:
        return f"tau {record['tau']:g}"
    header = [name.replace("_", " ") for name in record["grid"][0]]
    rows = [
        [f"{row['tau']:g}{' *' if row['tau'] == record['tau'] else ''}", *list(row.values())[1:]]
        for row in record["grid"]
    ]
    return f"{table(rows, header)}\n* chosen, by balanced accuracy on the validation split"
