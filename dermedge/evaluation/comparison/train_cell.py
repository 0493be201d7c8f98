"""Train one cell of a comparison, from nothing, from its checkpoint, or not at all because it is done."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from dermedge.data.cache.feature_cache import FrozenTrunk
from dermedge.data.samples import Sample
from dermedge.data.splits import check_leaks
from dermedge.recipes.training_settings import RECIPE, recipe_record
from dermedge.training.epoch_line import epoch_line
from dermedge.training.head_training import HeadOnFeatures, head_on_start_weights, recorded_trunk, shared_trunk_record
from dermedge.training.predictions import trained_model
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.start_weights import PRETRAINED, keep_start_weights, pretrained_weights
from dermedge.training.train import Trainer, remaining_epochs, resume, start_run
from dermedge_runtime.errors import UsageError

from .plan import Cell, Plan
from .rows import SHARED

OnEpoch = Callable[[list[dict[str, Any]], int], str]
"""Takes the history and the number of epochs after every epoch, and gives what the log's line shall end in."""
_log = logging.getLogger(__name__)


def train_cell(plan: Plan, cell: Cell, samples: list[Sample], on_epoch: OnEpoch) -> Run:
    """Train until the last epoch.

    :raises UsageError: a head that was trained on the features of another trunk.
    :raises InputRejected: a picture that cannot be read.
    :raises DermedgeError: the loss is no longer a number.
    """
    folder, trunk = cell.run_folder(plan.root), None
    if cell.trunk == SHARED:
        trunk = shared_trunk(plan, cell)
    if folder.config_file.is_file():
        run = Run.open(folder.path)
    else:
        split = plan.split(cell, samples)
        check_leaks(split, samples)
        run = start_run(plan.settings(cell), split, folder, extra=_begin(plan, cell, folder, trunk))
    # The record's settings, not the plan's: both are the same but for the place of the data.
    config = run.config
    part = None
    if trunk is not None:
        _check_trunk(run, trunk, cell.trunk_source.name if plan.given is None else plan.given.run.path.name)
        part = HeadOnFeatures(config, run.schema, trunk)
    elif config.freeze_image_branch:
        part = head_on_start_weights(config, run)
    trainer = Trainer(config, samples, run, part=part)
    if resume(trainer):
        _log.info("  resumed after epoch %s%s", len(trainer.history), on_epoch(trainer.history, config.epochs))
    for row in remaining_epochs(trainer):
        _log.info("  %s%s", epoch_line(row, config.epochs), on_epoch(trainer.history, config.epochs))
    return run


def _begin(plan: Plan, cell: Cell, folder: RunFolder, trunk: FrozenTrunk | None) -> dict[str, Any]:
    """Keep the weights that a new run starts from, and give what its record is to say of them and of its trunk."""
    recipe: dict[str, Any] = {RECIPE: recipe_record(plan.recipes[cell.recipe].recipe)} if cell.recipe else {}
    if plan.given is not None and plan.takes_given(cell):
        shared = {} if trunk is None else shared_trunk_record(trunk)
        return recipe | shared | (plan.given.record if shared else plan.given.keep_start(folder))
    if trunk is not None:
        source = Run.open(cell.trunk_source.run_folder(plan.root).path).record
        pretrained = {PRETRAINED: source[PRETRAINED]} if PRETRAINED in source else {}
        return recipe | shared_trunk_record(trunk) | pretrained
    config = plan.settings(cell)
    if not config.start_from or plan.pretrained is None:
        return recipe
    return recipe | keep_start_weights(pretrained_weights(plan.pretrained, config), folder)


def shared_trunk(plan: Plan, cell: Cell) -> FrozenTrunk:
    """Give the trained trunk that a cell takes."""
    if plan.given is not None:
        return plan.given.frozen(plan.views, plan.root / "features")
    run = Run.open(cell.trunk_source.run_folder(plan.root).path)
    return FrozenTrunk(trained_model(run), run.weights_sha256, plan.views, run.features)


def _check_trunk(run: Run, trunk: FrozenTrunk, source: str) -> None:
    recorded = (recorded_trunk(run.record) or {}).get("weights_sha256")
    if recorded != trunk.weights_sha256:
        raise UsageError(
            f"The run in {run.path} was trained on the features of other weights ({str(recorded)[:12]}) than those of"
            f" {source} ({trunk.weights_sha256[:12]}). Remove {run.path}, and it is trained anew."
        )
