"""`dermedge compare` from the plan to the page: train, measure, time, publish; go on where an earlier start stopped."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from dermedge.data.ham10000 import HAM10000
from dermedge.data.samples import Sample
from dermedge.models.branches.families import new_branch
from dermedge.training.run import Run
from dermedge.training.train import check_ready
from dermedge_export.check.parity import Limits
from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files import require_folder_place

from .joined_members import join_members, joined_before
from .latency import is_timed, measure_latency
from .measure_cell import is_measured, measure_cell
from .own_recipes import keep_own
from .plan import Cell, Plan, check_plan
from .publish import PAGE, publish
from .recipe_publish import asked_of, publish_recipes
from .recipe_runs import recipe_files
from .results import read_results
from .rows import NONE, SHARED, Record, row_name
from .runs import read_runs
from .summary import int8_path
from .time_left import TimeLeft, epochs_left, trained_seconds
from .train_cell import train_cell

_log = logging.getLogger(__name__)


def compare_fusions(
    plan: Plan, samples: list[Sample], *, page: Path, int8_limits: Limits | None, latency: bool
) -> tuple[Record, list[str]]:
    """Do what is missing of a plan, and publish what is there.

    A training that fails of its own accord does not stop the others.

    :param int8_limits: limits of the INT8 files; None for no such files.
    :param latency: time the INT8 files at the end.
    :return: the record, and one line for every cell that failed.
    :raises UsageError: a run folder of other settings or other data.
    :raises InputRejected: pictures that cannot be read.
    :raises DeviceUnavailable: cuda without a usable GPU.
    """
    require_folder_place(plan.root, "the comparison")
    check_plan(plan, samples)
    keep_own(plan.root, plan.recipes)
    recipes = bool(plan.recipes or plan.left_out)
    wanted = {cell: _limits_of(cell, plan, int8_limits) for cell in plan.cells}
    missing = [cell for cell, limits in wanted.items() if not is_measured(cell.run_folder(plan.root), limits)]
    _log.info("%s trainings, %s of them measured already", len(plan.cells), len(plan.cells) - len(missing))
    failed: list[str] = []
    try:
        if missing:
            _check_ready(plan, samples)
            failed = _do_missing(plan, missing, wanted, samples, latency=latency)
        if latency:
            _time_files(plan.root)
    except KeyboardInterrupt:
        _log.info("Go on with the same command: it goes on after the last whole epoch.")
        raise
    record = publish(plan.root, plan.root / PAGE if recipes else page, [cell for cell in plan.cells if not cell.recipe])
    return publish_recipes(plan.root, page, asked_of(plan)) if recipes else record, failed


def _limits_of(cell: Cell, plan: Plan, limits: Limits | None) -> Limits | None:
    """INT8 files are made of the lowest seed alone: size and speed do not depend on it."""
    return limits if cell.seed == min(each.seed for each in plan.cells) else None


def _check_ready(plan: Plan, samples: list[Sample]) -> None:
    # A branch that cannot be made is told at once.
    firsts = {(cell.image_branch, cell.recipe, cell.member): cell for cell in reversed(plan.trainings)}
    for (branch, *_), first in firsts.items():
        if branch != NONE:
            new_branch(branch)
        check_ready(plan.settings(first), samples, plan.split(first, samples), HAM10000)


def _do_missing(
    plan: Plan,
    missing: list[Cell],
    wanted: dict[Cell, Limits | None],
    samples: list[Sample],
    *,
    latency: bool,
) -> list[str]:
    to_come = [each for cell in missing for each in (*plan.members(cell), cell)]
    left, failed = TimeLeft(to_come, {cell for cell, limits in wanted.items() if limits}, latency), []
    for cell in plan.cells:
        if cell not in missing:
            _note_training(plan, cell, left)
    for number, cell in enumerate(missing, start=1):
        _log.info("[%s/%s] %s; %s", number, len(missing), cell.title, left.text())
        try:
            _train_and_measure(plan, cell, wanted[cell], samples, left)
        except DermedgeError as error:
            # A rejected picture, a missing device or other settings stop everything; a diverged training does not.
            if type(error) is not DermedgeError:
                raise
            failed.append(f"{cell.title}: {error}")
            _log.info("  failed: %s", error)
        left.leave(cell, *plan.members(cell))
    return failed


def _note_training(plan: Plan, cell: Cell, left: TimeLeft) -> None:
    # From its history, because this start may have done only the end of it.
    for each in plan.members(cell) or (cell,):
        seconds = trained_seconds(each.run_folder(plan.root).history_file)
        if seconds is not None:
            left.trained(each, seconds)


def _train_and_measure(plan: Plan, cell: Cell, limits: Limits | None, samples: list[Sample], left: TimeLeft) -> None:
    source = cell.trunk_source
    if cell.trunk == SHARED and plan.given is None and read_results(source.run_folder(plan.root).path) is None:
        raise DermedgeError(f"its trunk, {source.name}, could not be trained.")
    folder = cell.run_folder(plan.root)
    done = read_results(folder.path) is not None
    run = Run.open(folder.path) if done else _trained(plan, cell, samples, left)
    left.leave(cell, *plan.members(cell))
    _note_training(plan, cell, left)
    started = time.perf_counter()
    measure_cell(cell, run, samples, limits)
    left.measured(cell, time.perf_counter() - started)


def _trained(plan: Plan, cell: Cell, samples: list[Sample], left: TimeLeft) -> Run:
    """Train a cell, an ensemble's members one after the other, and join them."""
    if cell.is_ensemble and (joined := joined_before(plan, cell)) is not None:
        return joined
    left.leave(cell)

    def on_epoch(history: list[dict[str, Any]], epochs: int) -> str:
        return f"; {left.text(cell, epochs_left(history, epochs))}"

    if not cell.is_ensemble:
        return train_cell(plan, cell, samples, on_epoch)
    runs = []
    for member in plan.members(cell):
        left.leave(member)
        _log.info("  member %s", member.member)
        runs.append(train_cell(plan, member, samples, on_epoch))
    return join_members(plan, cell, runs)


def _time_files(root: Path) -> None:
    """Time one INT8 file of every row that is there, whichever plan it is of: their ratios are what counts."""
    runs = read_runs(root)
    paths = {row_name(key): int8_path(runs.of(key)) for key in sorted(runs.keys())}
    paths |= recipe_files(root)
    files = {row: path for row, path in paths.items() if path is not None and path.is_file()}
    if files and not is_timed(root, files):
        measure_latency(root, files)
