"""The one table of image branches: whose networks can be asked for by name.

A family is one file here and one line of `FAMILIES`. Not covered: what a branch is (`branch`), and where its pretrained
weights come from (`pretrained`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from dermedge_runtime.commands.option_types import nearest
from dermedge_runtime.errors import UsageError

from .branch import ImageBranch
from .dermiresnet import DermiResNet
from .efficientnet_lite import LITE_NETWORKS, EfficientNetLite, LiteWeights
from .pretrained import WeightSource


class BranchFamily(ABC):
    """Networks that one library brings, and how they are made."""

    library: str
    """The package that a user knows them by."""

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Give every name, as `--image-branch` takes it."""

    @abstractmethod
    def make(self, name: str, dropout: float) -> ImageBranch:
        """Make an untrained branch, with torch's default generator.

        :param dropout: share of the features that is dropped, where the network has such a place.
        :raises UsageError: a network without a spatial feature map.
        :raises DermedgeError: the library is not installed.
        """

    @abstractmethod
    def weight_source(self, name: str) -> WeightSource | None:
        """Say where pretrained weights can be had; None where there are none."""


class PaperFamily(BranchFamily):
    """The network of the paper, which nobody has pretrained."""

    library = "dermedge"

    def names(self) -> tuple[str, ...]:
        """See the base class."""
        return ("dermiresnet",)

    def make(self, name: str, dropout: float) -> ImageBranch:
        """See the base class."""
        return DermiResNet(dropout)

    def weight_source(self, name: str) -> None:
        """See the base class."""


class LiteFamily(BranchFamily):
    """EfficientNet-Lite: networks of timm, weights of a package each that works offline."""

    library = "timm"

    def names(self) -> tuple[str, ...]:
        """See the base class."""
        return tuple(LITE_NETWORKS)

    def make(self, name: str, dropout: float) -> ImageBranch:
        """See the base class."""
        return EfficientNetLite(name)

    def weight_source(self, name: str) -> WeightSource:
        """See the base class."""
        return LiteWeights(name)


FAMILIES: tuple[BranchFamily, ...] = (PaperFamily(), LiteFamily())


def family_of(name: str) -> BranchFamily:
    """Find the family of a branch.

    :raises UsageError: an unknown name; the message has the nearest names.
    """
    for family in FAMILIES:
        if name in family.names():
            return family
    known = [each for family in FAMILIES for each in family.names()]
    raise UsageError(f"There is no image branch '{name}'{nearest(name, known)} `dermedge branches` lists {len(known)}.")


def new_branch(name: str, dropout: float = 0.2) -> ImageBranch:
    """Make an untrained branch by its name; see `BranchFamily.make`."""
    return family_of(name).make(name, dropout)
