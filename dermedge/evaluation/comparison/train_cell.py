"""Train one cell of a comparison, from nothing, from its checkpoint, or not at all because it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dermedge.data.cache.feature_cache import ImageBranch
from dermedge.data.ham10000 import Sample
from dermedge.data.splits import check_leaks, make_split
from dermedge.training.head_training import HeadTrainer, image_branch_record
from dermedge.training.predictions import trained_model
from dermedge.training.run_folder import RunFolder
from dermedge.training.train import Trainer, go_on, start_run
from dermedge_runtime.errors import UsageError

from .plan import SHARED, Cell, Plan

Log = Callable[[str], None]
OnEpoch = Callable[[list[dict[str, Any]], int], str]
"""Takes the history and the number of epochs after every epoch, and gives what the log's line shall end in."""


def train_cell(plan: Plan, cell: Cell, samples: list[Sample], log: Log, on_epoch: OnEpoch) -> RunFolder:
    """Train until the last epoch.

    :raises UsageError: a head that was trained on the features of another image branch.
    :raises InputRejected: a picture that cannot be read.
    :raises DermedgeError: the loss is no longer a number.
    """
    run, branch = cell.run(plan.root), None
    if cell.image_branch == SHARED:
        branch = shared_branch(plan, cell)
    if not run.config_file.is_file():
        split = make_split(samples, cell.protocol, cell.seed)
        check_leaks(split, samples)
        start_run(plan.settings(cell), split, run, extra=image_branch_record(branch) if branch else None)
    # The record's settings, not the plan's: both are the same but for the place of the data.
    config = run.config()
    if branch is None:
        trainer = Trainer(config, samples, run)
    else:
        _check_branch(run, branch)
        trainer = HeadTrainer(config, samples, run, branch)

    def tell(line: str) -> None:
        log(f"  {line}{on_epoch(trainer.history, config.epochs)}")

    go_on(trainer, tell)
    return run


def shared_branch(plan: Plan, cell: Cell) -> ImageBranch:
    """Give the trained image branch that a cell takes."""
    run = cell.trunk.run(plan.root)
    trunk = trained_model(run).trunk
    assert trunk is not None
    return ImageBranch(trunk, run.weights_sha256(), plan.views, run.features)


def _check_branch(run: RunFolder, branch: ImageBranch) -> None:
    recorded = run.record().get("image_branch", {}).get("weights_sha256")
    if recorded != branch.weights_sha256:
        raise UsageError(
            f"The run in {run.path} was trained on the features of other weights ({str(recorded)[:12]}) than those of"
            f" image_only beside it ({branch.weights_sha256[:12]}). Remove {run.path}, and it is trained anew."
        )
