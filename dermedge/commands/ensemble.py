"""`dermedge ensemble`: finished runs in, one run that answers as all of them do out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from dermedge.api import ensemble as api
from dermedge.require import extras
from dermedge.tables import table

from .option_values import option, path
from .shared_options import RUN_PANEL, AsJson, Data, print_json

_Runs = Annotated[
    list[Path],
    typer.Argument(help="Folders of finished runs.", show_default=False, **{**path("folder"), "metavar": "RUN"}),
]
_Run = Annotated[
    Path | None,
    option(RUN_PANEL, "Folder to write; by default runs/ensemble, or runs/BRANCH-ensemble.", "--run", **path("folder")),
]
_Overwrite = Annotated[bool, option(RUN_PANEL, "Replace an earlier run in that folder.", "--overwrite")]


def ensemble(
    members: _Runs, run: _Run = None, data: Data = None, overwrite: _Overwrite = False, as_json: AsJson = False
) -> None:
    """Make one run of finished runs: its probabilities are the mean of theirs.

    Members may differ in fusion, image branch and image size, not in their split. Each is first calibrated on the
    validation split, by a temperature of its own. The new run holds all of them, and exports to one file.

    Examples:
      dermedge ensemble runs/gated runs/efficientnet_lite0-concat --run runs/both
      dermedge ensemble runs/image_only runs/clinical_only --run runs/late
    """
    made = api.ensemble(members, run=run, data=data, overwrite=overwrite)
    with extras("train"):
        from dermedge.training.members import recorded_members
    found = [
        {**each.record, "fusion": each.config.fusion, "image_branch": each.config.image_branch}
        for each in recorded_members(made)
    ]
    if as_json:
        print_json({"run": str(made.path), "weights_sha256": made.weights_sha256, "members": found})
        return
    typer.echo(f"{made.path}: {made.config.fusion} of {len(found)} runs")
    typer.echo(
        table([_row(each) for each in found], ["member", "fusion", "temperature", "shrunk from larger pictures"])
    )


def _row(member: dict[str, Any]) -> list[Any]:
    shrunk = member.get("shrunk")
    told = "-" if shrunk is None else f"to {shrunk['from']}: {shrunk['agreement']:.2%} keep their class"
    return [member["name"], member["fusion"], f"{member['temperature']:.3f}", told]
