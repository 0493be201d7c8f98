"""What a comparison consists of: one training per image branch, fusion, protocol, seed and way of training the trunk;
an ensemble has one for every member, and is joined of them.

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
from dermedge.models.fusion import ENSEMBLES, FURTHER_FUSIONS, PAPERS_FUSIONS, fusion_class
from dermedge.training.chosen_settings import changed_settings
from dermedge.training.ensemble import joined_settings
from dermedge.training.head_training import recorded_trunk
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.run_names import PAPERS_BRANCH, SEVERAL_BRANCHES
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
    member: int = 0
    """Number of the network of an ensemble, from 1; 0: no part of one."""

    @property
    def name(self) -> str:
        """Of its recipe or its network."""
        if not self.recipe:
            return model_name(self.image_branch, self.fusion)
        return f"{RECIPE_FOLDER}{self.recipe}" + (f"/member{self.member}" if self.member else "")

    def run_folder(self, root: Path) -> RunFolder:
        """Its run folder below the comparison's."""
        name = self.name + (f"-{SHARED}" if self.trunk == SHARED else "")
        return RunFolder(root / self.protocol / f"seed{self.seed}" / name)

    @property
    def trunk_source(self) -> Cell:
        """The cell whose trunk a `SHARED` one takes; of the same image branch."""
        return replace(self, fusion=BASELINE, trunk=OWN, recipe="", member=0)

    @property
    def is_ensemble(self) -> bool:
        """Whether it is joined of members, and not trained itself."""
        return self.fusion in ENSEMBLES

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
    usual_branch: str = PAPERS_BRANCH
    """Image branch of the members of ensembles that name none."""

    @property
    def trainings(self) -> tuple[Cell, ...]:
        """The cells that are trained: those of the plan, the members of an ensemble in its place."""
        return tuple(each for cell in self.cells for each in self.members(cell) or (cell,))

    def members(self, cell: Cell) -> tuple[Cell, ...]:
        """Give the trainings that an ensemble is joined of; none for any other cell."""
        if not cell.is_ensemble:
            return ()
        recipe = self.recipes[cell.recipe]
        found = []
        for number, asked in enumerate(recipe.members, start=1):
            branch, fusion = recipe.member_branch(number, self.usual_branch), asked.values.fusion
            trunk = NONE if branch == NONE else OWN
            found.append(replace(cell, fusion=fusion, image_branch=branch, trunk=trunk, member=number))
        return tuple(found)

    def takes_given(self, cell: Cell) -> bool:
        """Whether a training takes the given image branch or starts from it."""
        if self.given is None or cell.trunk == NONE or cell.image_branch != self.given.image_branch:
            return False
        return not cell.recipe or self.recipes[cell.recipe].recipe.start == "pretrained"

    def split(self, cell: Cell, samples: Sequence[Sample]) -> Split:
        """Split the data for one training."""
        return make_split(samples, cell.protocol, self.settings(cell).seed_of_split)

    def settings(self, cell: Cell) -> TrainConfig:
        """Settings of one training, or those that an ensemble's members share."""
        if cell.is_ensemble:
            return joined_settings([self.settings(member) for member in self.members(cell)])
        protocol = cast("Protocol", cell.protocol)  # `plan_cells` knows no other
        recipe, base = self.recipes[cell.recipe] if cell.recipe else None, self.base
        if recipe is not None:
            base = changed_settings(base, recipe.members[cell.member - 1] if cell.member else recipe.asked)
        if recipe is not None and cell.member:
            base = replace(base, image_size=recipe.member_size(cell.member, self.base.image_size))
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

    :param image_branch: of the recipes that name none. One that keeps trained weights as they are takes its original's
        where nobody has published any of this one.
    :param pretrained: the comparison starts from weights that others have trained.
    :raises UsageError: an unknown protocol or image branch.
    """
    cells = []
    for seed in range(seeds):
        for protocol in choose_names(protocols, PROTOCOLS, "protocol"):
            for name, each in recipes.items():
                branch, own = each.image_branch(image_branch), each.trunk(trunk, pretrained=pretrained)
                if branch not in (NONE, SEVERAL_BRANCHES):
                    source = family_of(branch).weight_source(branch)
                    if each.recipe.start == "frozen" and source is None:
                        branch = str(each.recipe.original.get("image_branch", branch))
                cells.append(Cell(protocol, seed, each.fusion, own, branch, name))
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

    :raises UsageError: a folder with a run of other settings or other data; the message says what differs. Or an
        ensemble with one network twice.
    """
    for cell in plan.cells:
        _check_members(plan, cell)
    for cell in dict.fromkeys((*plan.cells, *plan.trainings)):
        folder = cell.run_folder(plan.root)
        if folder.config_file.is_file():
            _check_run(plan, cell, Run.open(folder.path), samples)


def _check_members(plan: Plan, cell: Cell) -> None:
    found: list[TrainConfig] = []
    for settings in map(plan.settings, plan.members(cell)):
        if settings in found:
            raise UsageError(
                f"With pictures of {plan.base.image_size} pixels two networks of {cell.recipe} are the same one."
                " Give a larger --image-size, or leave the recipe out."
            )
        found.append(settings)


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
