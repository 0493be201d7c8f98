"""`dermedge explain`: a run in, a gallery of heat maps and tables of clinical relevance out."""

from __future__ import annotations

from typing import Annotated

import typer

from dermedge.api.evaluate import MODELS
from dermedge.api.train import RUNS
from dermedge.require import extras

from .option_values import option, whole
from .shared_options import (
    FUSION,
    IMAGE_BRANCH,
    OUTPUT_PANEL,
    AsJson,
    Data,
    Fusion,
    ImageBranch,
    Models,
    RunPath,
    Runs,
    open_run,
    print_json,
)

_PerClass = Annotated[int, option(OUTPUT_PANEL, "Images of the gallery, per class.", **whole(1, 12))]
_Limit = Annotated[int, option(OUTPUT_PANEL, "Images of the tables, per class.", **whole(1))]
_Masks = Annotated[
    bool,
    option(OUTPUT_PANEL, "Compare the heat maps with the data folder's lesion masks.", "--masks"),
]


def explain(
    fusion: Fusion = FUSION,
    image_branch: ImageBranch = IMAGE_BRANCH,
    run: RunPath = None,
    runs: Runs = RUNS,
    data: Data = None,
    models: Models = MODELS,
    per_class: _PerClass = 3,
    limit: _Limit = 30,
    masks: _Masks = False,
    as_json: AsJson = False,
) -> None:
    """Explain test images of a run: heat maps, clinical relevance, agreement with masks.

    The gallery and the tables go to explain/ in the run's folder. The run's FP32 file is used, or a temporary one.

    Examples:
      dermedge explain
      dermedge explain --fusion gated --per-class 5
      dermedge explain --data data/ham10000 --masks --json
    """
    with extras("export"):
        from dermedge.evaluation.explain import explain_run
        from dermedge.tables import explain_text
    opened = open_run(run, runs, fusion, image_branch)
    record = explain_run(opened, models, data=data, per_class=per_class, limit=limit, masks=masks)
    if as_json:
        print_json(record)
    else:
        typer.echo(explain_text(record))
