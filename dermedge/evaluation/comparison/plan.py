"""What a comparison consists of: one training per fusion, protocol, seed and way of training the trunk.

A cell is an ordinary run folder. What is there and what is missing is read from these folders alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from dermedge.config import Protocol, TrainConfig
from dermedge.data.samples import Sample
from dermedge.data.splits import make_split
from dermedge.models.fusion import FUSIONS, fusion_class
from dermedge.training.head_training import recorded_trunk
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge_runtime.errors import UsageError

from .rows import BASELINE, NONE, OWN, PROTOCOLS, SHARED


@dataclass(frozen=True, slots=True)
class Cell:
    """One training."""

    protocol: str
    seed: int
    """Of the training and of the split."""
    fusion: str
    trunk: str
    """`OWN`, `SHARED` or `NONE`: how it was trained."""

    def run_folder(self, root: Path) -> RunFolder:
        """Its run folder below the comparison's."""
        name = self.fusion + (f"-{SHARED}" if self.trunk == SHARED else "")
        return RunFolder(root / self.protocol / f"seed{self.seed}" / name)

    @property
    def trunk_source(self) -> Cell:
        """The cell whose trunk a `SHARED` one takes."""
        return replace(self, fusion=BASELINE, trunk=OWN)

    @property
    def title(self) -> str:
        """For the log."""
        shared = ", shared trunk" if self.trunk == SHARED else ""
        return f"{self.protocol}, seed {self.seed}, {self.fusion}{shared}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The cells that were asked for, and how to train them."""

    root: Path
    cells: tuple[Cell, ...]
    base: TrainConfig
    """Settings of all; fusion, protocol and seed are each cell's."""
    head_epochs: int
    views: int
    """Augmented copies of every training photograph that the heads on a shared trunk see."""

    def settings(self, cell: Cell) -> TrainConfig:
        """Settings of one training."""
        protocol = cast("Protocol", cell.protocol)  # `plan_cells` knows no other
        config = replace(self.base, fusion=cell.fusion, protocol=protocol, seed=cell.seed)
        if cell.trunk == SHARED:
            # A head reads features and no picture: there is nothing to paste.
            config = replace(config, epochs=self.head_epochs, cutmix=0.0)
        return config


def choose_names(text: str, known: Collection[str], what: str) -> list[str]:
    """Split names at the commas; `all` gives all.

    :raises UsageError: an unknown name or none; the message lists the known and the nearest.
    """
    if text.strip() == "all":
        return list(known)
    names = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"Unknown {what} '{name}'; known are all, {', '.join(known)}.{hint}")
    if not names:
        raise UsageError(f"No {what} was given; known are all, {', '.join(known)}.")
    return names


def plan_cells(fusions: str, protocols: str, seeds: int, trunk: str) -> tuple[Cell, ...]:
    """Give the cells in the order of their work: a whole table with the first seed comes before the second seed.

    With a shared trunk, `image_only` is trained whole first, and once more as a head on its own features: that one is
    what the other heads are compared with.

    :param trunk: `OWN` or `SHARED`, for fusions that read pictures.
    :raises UsageError: an unknown fusion or protocol.
    """
    chosen = choose_names(fusions, FUSIONS, "fusion")
    parts = choose_names(protocols, PROTOCOLS, "protocol")
    return tuple(
        Cell(protocol, seed, fusion, its_trunk)
        for seed in range(seeds)
        for protocol in parts
        for fusion, its_trunk in _rows(chosen, trunk)
    )


def _rows(fusions: Sequence[str], trunk: str) -> Iterable[tuple[str, str]]:
    ordered = sorted(fusions, key=lambda fusion: fusion != BASELINE)
    reads_images = any(fusion_class(fusion).uses_image for fusion in fusions)
    if trunk == SHARED and reads_images:
        yield BASELINE, OWN
        ordered = [BASELINE, *(fusion for fusion in ordered if fusion != BASELINE)]
    for fusion in ordered:
        yield fusion, trunk if fusion_class(fusion).uses_image else NONE


def check_plan(plan: Plan, samples: Sequence[Sample]) -> None:
    """Look at every run folder that is there already, before any work is done.

    :raises UsageError: a folder with a run of other settings or other data; the message says what differs.
    """
    for cell in plan.cells:
        folder = cell.run_folder(plan.root)
        if folder.config_file.is_file():
            _check_run(plan, cell, Run.open(folder.path), samples)


def _check_run(plan: Plan, cell: Cell, run: Run, samples: Sequence[Sample]) -> None:
    wanted, found = plan.settings(cell), run.config
    # The data may lie elsewhere by now; the split says whether it is the same.
    differing = replace(wanted, data=found.data).differences(found)
    shared = recorded_trunk(run.record)
    if shared and shared.get("views") != plan.views:
        differing.append(f"feature_views {shared.get('views')} -> {plan.views}")
    if differing:
        raise UsageError(
            f"The run in {run.path} has other settings: {', '.join(differing)}."
            " Ask for the same ones, or give another folder with --folder."
        )
    if run.record["split_sha256"] != make_split(samples, cell.protocol, cell.seed).sha256:
        raise UsageError(
            f"The run in {run.path} was trained on another split of the data, or on other data."
            " Give the same data folder with --data, or another folder with --folder."
        )
