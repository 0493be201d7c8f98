"""`dermedge.ensemble`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge.require import extras
from dermedge.training.run_names import run_name

from .names import path_of, run_of
from .train import RUNS

if TYPE_CHECKING:
    from dermedge.training.run import Run


def ensemble(
    runs: Sequence[Run | Path | str],
    *,
    run: Path | str | None = None,
    data: Path | str | None = None,
    overwrite: bool = False,
) -> Run:
    """Make one run of several, whose probabilities are the mean of theirs.

    ::

        run = dermedge.ensemble(["runs/gated", "runs/image_only"], run="runs/both")
        model = dermedge.export(run, precision="int8")

    The new run holds the weights of all members. `evaluate`, `export` and whatever takes a run take it; it is not
    trained on, nor learned from.

    :param runs: opened, or their folders; two or more, of one split.
    :param run: folder to write; by default in `runs`, `ensemble`, after the image branch where it is not the paper's.
    :param data: where the data lie by now; by default where they lay for the first run.
    :param overwrite: replace an earlier run in the folder.
    :return: the new run, opened.
    :raises UsageError: fewer than two runs, or runs that do not go together.
    :raises InputRejected: a member was trained on what another holds back, or pictures are missing.
    :raises DermedgeError: no run there, no weights, a run in the folder already, or a package is not installed.
    """
    with extras("train"):
        from dermedge.training.ensemble import joined_settings, make_ensemble
        from dermedge.training.ensemble_checks import check_members
        from dermedge.training.run import opened
        from dermedge.training.run_folder import RunFolder
    given = [opened(run_of("runs", each)) for each in runs]
    check_members(given)
    if run is None:
        config = joined_settings([each.config for each in given])
        folder = RUNS / run_name(config.image_branch, config.fusion)
    else:
        folder = path_of("run", run)
    lies = None if data is None else path_of("data", data)
    return make_ensemble(given, RunFolder(folder), data=lies, overwrite=overwrite)
