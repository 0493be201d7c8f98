"""Two or more branches that read the same picture, as `a+b`: their last maps lie one behind the other in the channels.

This is serial fusion of features, of networks of any families (Arshad et al., 2021, join a ResNet-50 and a ResNet-101;
Wang et al., 2023, a DenseNet-121 and a VGG-16). A finer map is averaged down to the coarsest one, so that global
average pooling gives what each branch alone would give, and Grad-CAM stays exact. Not covered: branches whose maps do
not come to one size that way; they are refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dermedge_runtime.errors import UsageError

from .branch import ImageBranch
from .dry_run import shapes_at_two_sizes, without_memory
from .family import BranchFamily
from .pretrained import PretrainedWeights, WeightSource

JOINT = "+"
_PARTS = "parts"


class SideBySide(ImageBranch):
    """Several branches; the tensors of the first are `parts.0.…`, each normalises the picture in its own way."""

    def __init__(self, branches: Sequence[ImageBranch]) -> None:
        """Take over the branches.

        :param branches: two or more, whose strides all divide the largest one.
        """
        super().__init__()
        self.parts = nn.ModuleList(branches)
        self.channels = sum(branch.channels for branch in branches)
        self.stride = max(branch.stride for branch in branches)
        self.coarser = [self.stride // branch.stride for branch in branches]

    def forward(self, image: Tensor) -> Tensor:
        """See the base class; the channels of the first branch come first."""
        maps = [
            part(image) if factor == 1 else functional.avg_pool2d(part(image), factor)
            for part, factor in zip(self.parts, self.coarser, strict=True)
        ]
        return torch.cat(maps, dim=1)


@dataclass(frozen=True, slots=True)
class SideBySideWeights(WeightSource):
    """The pretrained weights of every part, each from where it comes from."""

    sources: tuple[WeightSource, ...]

    @property
    def source(self) -> str:
        """Sources of the parts, in their order."""
        return f" {JOINT} ".join(each.source for each in self.sources)

    @property
    def licence(self) -> str:  # type: ignore[override]
        """All licences, as an SPDX expression."""
        return _all_licences([each.licence for each in self.sources])

    @property
    def elsewhere(self) -> str:  # type: ignore[override]
        """What has to be done for the first part that is not here."""
        return next((each.elsewhere for each in self.sources if not each.is_here()), WeightSource.elsewhere)

    def is_here(self) -> bool:
        """See the base class."""
        return all(each.is_here() for each in self.sources)

    def load(self, *, download: bool) -> PretrainedWeights:
        """See the base class."""
        loaded = [each.load(download=download) for each in self.sources]
        tensors = {
            f"{_PARTS}.{index}.{name}": tensor
            for index, part in enumerate(loaded)
            for name, tensor in part.tensors.items()
        }
        together = hashlib.sha256(" ".join(part.sha256 for part in loaded).encode()).hexdigest()
        licence = _all_licences([part.licence for part in loaded])
        return PretrainedWeights(tensors, self.source, together, licence, tuple(loaded))


class SideBySideFamily(BranchFamily):
    """Names of other families with `+` between them."""

    library = "several"

    def __init__(self, find: Callable[[str], BranchFamily]) -> None:
        """Make the family.

        :param find: gives the family of a name.
        """
        self._find = find

    def names(self) -> tuple[str, ...]:
        """See the base class; they are too many to be listed."""
        return ()

    def has(self, name: str) -> bool:
        """See the base class."""
        return JOINT in name

    def make(self, name: str, dropout: float) -> ImageBranch:
        """See the base class.

        :raises UsageError: no such part, or maps that do not come to one size, too.
        """
        parts = name.split(JOINT)
        families = [self._find(part) for part in parts]
        self._check(name, parts)
        return SideBySide([family.make(part, dropout) for family, part in zip(families, parts, strict=True)])

    def left_out(self, name: str) -> frozenset[str]:
        """See the base class."""
        parts = enumerate(name.split(JOINT))
        return frozenset(f"{_PARTS}.{i}.{each}" for i, part in parts for each in self._find(part).left_out(part))

    def weight_source(self, name: str) -> WeightSource | None:
        """See the base class; None where one of the parts has none."""
        sources = [self._find(part).weight_source(part) for part in name.split(JOINT)]
        known = tuple(each for each in sources if each is not None)
        return SideBySideWeights(known) if len(known) == len(sources) else None

    def _check(self, name: str, parts: Sequence[str]) -> None:
        """Look whether the maps come to one size, without making weights.

        :raises UsageError: they do not.
        """
        for part in parts:
            if not self._find(part).heatmap:
                raise UsageError(
                    f"{name} cannot be joined: {part} ends in capsules, which no other branch can be put beside."
                    " Name other branches."
                )
        branches = [_on_meta(self._find(part), part) for part in parts]
        stride = max(branch.stride for branch in branches)
        for part, branch in zip(parts, branches, strict=True):
            if stride % branch.stride:
                raise UsageError(
                    f"{name} cannot be joined: the cells of {part} are {branch.stride} pixels wide, which does not"
                    f" divide the {stride} of the other branch. Name branches whose strides divide each other."
                )
        sides = [_side(branch) // (stride // branch.stride) for branch in branches]
        if len(set(sides)) > 1:
            found = " and ".join(f"{side} ({part})" for side, part in zip(sides, parts, strict=True))
            raise UsageError(
                f"{name} cannot be joined: of one picture their maps have {found} cells a side, because not all of"
                " them pad its borders. Name branches that do."
            )


def _on_meta(family: BranchFamily, name: str) -> ImageBranch:
    return without_memory(lambda: family.make(name, 0.0))


def _side(branch: ImageBranch) -> int:
    """Cells to a side of the map of a large picture."""

    def run(image: Tensor) -> dict[str, Any]:
        return {"map": branch(image)}

    return shapes_at_two_sizes(run)["map"][1][2]


def _all_licences(licences: Sequence[str]) -> str:
    return " AND ".join(dict.fromkeys(licences))
