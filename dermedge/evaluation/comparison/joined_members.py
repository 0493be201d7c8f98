"""An ensemble of a comparison, joined of its members as `dermedge ensemble` joins runs.

Members whose pictures are smaller are taken whatever shrinking them changes: the ensemble is measured as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from dermedge.recipes.training_settings import RECIPE, recipe_record
from dermedge.training.ensemble import make_ensemble
from dermedge.training.ensemble_checks import check_members
from dermedge.training.members import MEMBERS, recorded_members
from dermedge.training.run import Run
from dermedge_runtime.files import write_json

from .given_trunk import GIVEN
from .plan import Cell, Plan

_log = logging.getLogger(__name__)


def joined_before(plan: Plan, cell: Cell) -> Run | None:
    """Give an ensemble that is there already; None where there is none, or a member was trained anew since.

    Members whose folders were removed are taken to be the same.

    :raises DermedgeError: a damaged record.
    """
    folder = cell.run_folder(plan.root)
    if not folder.config_file.is_file():
        return None
    run = Run.open(folder.path)
    for member, record in zip(plan.members(cell), recorded_members(run), strict=True):
        own = member.run_folder(plan.root)
        if own.config_file.is_file() and Run.open(own.path).weights_sha256 != record.record["weights_sha256"]:
            return None
    return run


def join_members(plan: Plan, cell: Cell, runs: Sequence[Run]) -> Run:
    """Make the run of an ensemble.

    :param runs: of its members, in their order, trained to the end.
    :raises InputRejected: members that encode clinical values otherwise, or pictures that cannot be read.
    """
    check_members(runs)
    _log.info("  join %s members", len(runs))
    folder = cell.run_folder(plan.root)
    run = make_ensemble(runs, folder, overwrite=True, shrunk_anyway=True)
    told = [
        {**record, **{key: each.record[key] for key in (GIVEN,) if key in each.record}}
        for record, each in zip(run.record[MEMBERS], runs, strict=True)
    ]
    recipe = recipe_record(plan.recipes[cell.recipe].recipe)
    write_json(run.config_file, {**run.record, MEMBERS: told, RECIPE: recipe})
    return Run.open(folder.path)
