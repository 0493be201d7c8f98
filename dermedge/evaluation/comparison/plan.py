"""What a comparison consists of: one training per image branch, fusion, protocol, seed and way of training the trunk.

A cell is an ordinary run folder. What is there and what is missing is read from these folders alone.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from dermedge.config import Protocol, TrainConfig
from dermedge.data.samples import Sample
from dermedge.data.splits import Split, make_split
from dermedge.models.branches.families import family_of
from dermedge.models.fusion import FURTHER_FUSIONS, PAPERS_FUSIONS, fusion_class
from dermedge.training.chosen_settings import changed_settings
from dermedge.training.head_training import recorded_trunk
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.run_names import PAPERS_BRANCH
from dermedge.training.start_weights import Pretrained, pretrained_weights
from dermedge_runtime.errors import UsageError

from .given_trunk import GivenTrunk
from .planned_recipe import PlannedRecipe
from .rows import BASELINE, NONE, OWN, PROTOCOLS, RECIPE_FOLDER, SHARED, model_name

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cell:
    """One training."""

    protocol: str
    seed: int
    """Of the training, and of the split where no trunk is given."""
    fusion: str
    trunk: str
    """`OWN`, `SHARED` or `NONE`: how it was trained."""
    image_branch: str = PAPERS_BRANCH
    """`NONE` where no picture is read."""
    recipe: str = ""
    """Name of the recipe that it is trained by; empty: a fusion with the settings of all."""

    @property
    def name(self) -> str:
        """Of its recipe or its network."""
        return f"{RECIPE_FOLDER}{self.recipe}" if self.recipe else model_name(self.image_branch, self.fusion)

    def run_folder(self, root: Path) -> RunFolder:
        """Its run folder below the comparison's."""
        name = self.name + (f"-{SHARED}" if self.trunk == SHARED else "")
        return RunFolder(root / self.protocol / f"seed{self.seed}" / name)

    @property
    def trunk_source(self) -> Cell:
        """The cell whose trunk a `SHARED` one takes; of the same image branch."""
        return replace(self, fusion=BASELINE, trunk=OWN, recipe="")

    @property
    def title(self) -> str:
        """For the log."""
        shared = ", shared trunk" if self.trunk == SHARED else ""
        return f"{self.protocol}, seed {self.seed}, {self.name}{shared}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The cells that were asked for, and how to train them."""

    root: Path
    cells: tuple[Cell, ...]
    base: TrainConfig
    """Settings of all; image branch, fusion, protocol and seed are each cell's."""
    head_epochs: int
    views: int
    """Augmented copies of every training photograph that the heads on a shared trunk see."""
    pretrained: Pretrained | None = None
    """Weights that others have trained, for the image branches of which there are any."""
    starts: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of these weights by image branch; the other branches start from random ones."""
    recipes: Mapping[str, PlannedRecipe] = field(default_factory=dict)
    """Those of the cells, by name."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Recipes that were asked for and are not trained, with the reason."""
    given: GivenTrunk | None = None
    """Image branch that is taken or started from in the place of `image_only`'s and of `starts`."""

    def takes_given(self, cell: Cell) -> bool:
        """Whether a training takes the given image branch or starts from it."""
        if self.given is None or cell.trunk == NONE or cell.image_branch != self.given.image_branch:
            return False
        return not cell.recipe or self.recipes[cell.recipe].recipe.start == "pretrained"

    def split(self, cell: Cell, samples: Sequence[Sample]) -> Split:
        """Split the data for one training."""
        return make_split(samples, cell.protocol, self.settings(cell).seed_of_split)

    def settings(self, cell: Cell) -> TrainConfig:
        """Settings of one training."""
        protocol = cast("Protocol", cell.protocol)  # `plan_cells` knows no other
        recipe = self.recipes[cell.recipe] if cell.recipe else None
        base = self.base if recipe is None else changed_settings(self.base, recipe.asked)
        config = replace(base, fusion=cell.fusion, protocol=protocol, seed=cell.seed)
        if cell.trunk != NONE:
            config = replace(config, image_branch=cell.image_branch)
        if cell.trunk == OWN and (recipe is None or recipe.trained_start):
            start = self.starts.get(cell.image_branch, "")
            if self.given is not None and self.takes_given(cell):
                start = self.given.run.weights_sha256
            config = replace(config, start_from=start)
        if self.given is not None:
            config = replace(config, split_seed=self.given.run.config.seed_of_split)
        if config.freeze_image_branch:
            config = replace(config, feature_views=self.views, cutmix=0.0)
        if cell.trunk == SHARED:
            # A head reads features and no picture: there is nothing to paste.
            config = replace(config, epochs=self.head_epochs, cutmix=0.0)
        return config


def choose_names(text: str, known: Collection[str], what: str, further: Collection[str] = ()) -> list[str]:
    """Split names at the commas; `all` stands for the known ones, `further` for the further ones.

    :param further: names beside the known ones that `all` does not mean.
    :raises UsageError: an unknown name or none; the message lists the known and the nearest.
    """
    groups = {"all": known} | ({"further": further} if further else {})
    single = [*known, *further]
    taken = [*groups, *single]
    listed = ", ".join(taken)
    words = [word.strip() for word in text.split(",") if word.strip()]
    names = list(dict.fromkeys(name for word in words for name in groups.get(word, (word,))))
    for name in names:
        if name not in single:
            near = difflib.get_close_matches(name, taken, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"Unknown {what} '{name}'; known are {listed}.{hint}")
    if not names:
        raise UsageError(f"No {what} was given; known are {listed}.")
    return names


def choose_branches(text: str) -> list[str]:
    """Split names of image branches at the commas.

    :raises UsageError: an unknown name or none; the message names the nearest.
    """
    names = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not names:
        raise UsageError("No image branch was given: --image-branches takes names such as dermiresnet, with commas.")
    for name in names:
        family_of(name)
    return names


def plan_cells(
    fusions: str,
    protocols: str,
    seeds: int,
    trunk: str,
    image_branches: str = PAPERS_BRANCH,
    *,
    given: bool = False,
) -> tuple[Cell, ...]:
    """Give the cells in the order of their work: a whole table with the first seed comes before the second seed.

    With a shared trunk, `image_only` is trained whole first, and once more as a head on its own features: that one is
    what the other heads are compared with. Every image branch has an `image_only` of its own; a fusion that reads no
    picture is trained once.

    :param trunk: `OWN` or `SHARED`, for fusions that read pictures.
    :param given: the shared trunk is there already.
    :raises UsageError: an unknown fusion, protocol or image branch.
    """
    # `all` are the paper's, so that the command of an earlier comparison still means what it meant.
    chosen = choose_names(fusions, PAPERS_FUSIONS, "fusion", FURTHER_FUSIONS)
    parts, branches = choose_names(protocols, PROTOCOLS, "protocol"), choose_branches(image_branches)
    return tuple(
        Cell(protocol, seed, fusion, its_trunk, NONE if its_trunk == NONE else branch)
        for seed in range(seeds)
        for protocol in parts
        for branch in branches
        for fusion, its_trunk in _rows(chosen, trunk, given=given)
        if its_trunk != NONE or branch == branches[0]  # clinical values alone are trained once
    )


def plan_recipe_cells(
    recipes: Mapping[str, PlannedRecipe], protocols: str, seeds: int, trunk: str, image_branch: str, *, pretrained: bool
) -> tuple[Cell, ...]:
    """Give the cells of recipes, seed by seed.

    :param image_branch: of the recipes that name none.
    :param pretrained: the comparison starts from weights that others have trained.
    :raises UsageError: an unknown protocol or image branch.
    """
    cells = []
    for seed in range(seeds):
        for protocol in choose_names(protocols, PROTOCOLS, "protocol"):
            for name, each in recipes.items():
                branch, own = each.image_branch(image_branch), each.trunk(trunk, pretrained=pretrained)
                if branch != NONE:
                    family_of(branch)
                cells.append(Cell(protocol, seed, each.asked.values.fusion, own, branch, name))
    return tuple(cells)


def in_order(cells: Iterable[Cell]) -> tuple[Cell, ...]:
    """Order cells so that the whole table of a seed comes before the next seed."""
    return tuple(sorted(cells, key=lambda cell: cell.seed))


def start_hashes(request: Pretrained, cells: Sequence[Cell], base: TrainConfig) -> dict[str, str]:
    """Look for the weights that the image branches of a comparison start from.

    :return: SHA-256 by image branch; a branch that nobody has pretrained is left out, and the log says so.
    :raises UsageError: nobody has pretrained any of them, or no picture is read.
    :raises DermedgeError: weights that are not here, or not what they should be.
    """
    found = {}
    names = list(dict.fromkeys(cell.image_branch for cell in cells if cell.trunk == OWN))
    for name in names:
        if family_of(name).weight_source(name) is None:
            _log.info("%s: start from random weights; there are no pretrained ones", name)
            continue
        start = pretrained_weights(request, replace(base, fusion=BASELINE, image_branch=name))
        _log.info("%s: %s", name, start.summary)
        found[name] = start.sha256
    if not found:
        of = f"There are no pretrained weights of {', '.join(names)}." if names else "Nothing here reads a picture."
        raise UsageError(f"{of} Leave --pretrained out, or name other branches.")
    return found


def _rows(fusions: Sequence[str], trunk: str, *, given: bool) -> Iterable[tuple[str, str]]:
    ordered = sorted(fusions, key=lambda fusion: fusion != BASELINE)
    reads_images = any(fusion_class(fusion).uses_image for fusion in fusions)
    if trunk == SHARED and reads_images:
        if not given:
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
    differing = replace(wanted, data=found.data, start_from=found.start_from).differences(found)
    if wanted.start_from != found.start_from:
        differing.append(
            f"weights to start from {found.start_from[:12] or 'none'} -> {wanted.start_from[:12] or 'none'}"
        )
    shared = recorded_trunk(run.record)
    if shared and shared.get("views") != plan.views:
        differing.append(f"feature_views {shared.get('views')} -> {plan.views}")
    if differing:
        raise UsageError(
            f"The run in {run.path} has other settings: {', '.join(differing)}."
            " Ask for the same ones, or give another folder with --folder."
        )
    if run.record["split_sha256"] != plan.split(cell, samples).sha256:
        raise UsageError(
            f"The run in {run.path} was trained on another split of the data, or on other data."
            " Give the same data folder with --data, or another folder with --folder."
        )
