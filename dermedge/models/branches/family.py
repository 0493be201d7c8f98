"""What a family of image branches is: the networks of one library, how they are made, and where their weights are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor

from .branch import ImageBranch
from .dry_run import without_memory
from .pretrained import WeightSource
from .weight_files import fitted


class BranchFamily(ABC):
    """Networks that one library brings, and how they are made; every method is fast where it makes no network."""

    library: str
    """The package that a user knows them by."""
    any_size = False
    """The stride need not divide the size of a picture."""
    heatmap = True
    """The maps are pooled as any others, so that Grad-CAM is defined; False: `ImageBranch.own_pooling` makes one."""
    prefix = ""
    """What a name begins with, where the library has more networks than a list of all branches should show."""

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Give every name, as `--image-branch` takes it.

        :raises DermedgeError: the library is not installed.
        """

    def has(self, name: str) -> bool:
        """Whether a name is of this family; see `names`."""
        return name in self.names()

    @abstractmethod
    def make(self, name: str, dropout: float) -> ImageBranch:
        """Make an untrained branch, with torch's default generator.

        :param dropout: share of the features that is dropped, where the network has such a place.
        :raises UsageError: a network without a spatial feature map.
        :raises DermedgeError: the library is not installed.
        """

    def left_out(self, name: str) -> frozenset[str]:
        """Give the tensors that the library's own network has and the branch has not, such as its classifier's.

        A file of weights may hold them beside the branch's.
        """
        return frozenset()

    def fit(self, name: str, found: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
        """Put the tensors of a file on the branch's own names.

        :param found: of the branch, or of the library's own network.
        :param what: the file, for messages.
        :raises DermedgeError: they are of another network; the message has the first tensors that do not fit.
        """
        wanted = without_memory(lambda: self.make(name, 0.0)).state_dict()
        return fitted(found, wanted, self.left_out(name), f"{what} is not of {name}")

    @abstractmethod
    def weight_source(self, name: str) -> WeightSource | None:
        """Say where pretrained weights can be had; None where there are none."""
