"""The one table of image branches: whose networks can be asked for by name.

A family is one file here and one line of `FAMILIES`. Not covered: what a branch is (`branch`), and where its pretrained
weights come from (`pretrained`).
"""

from __future__ import annotations

from dermedge.config import EMBEDDINGS
from dermedge_runtime.commands.option_types import nearest
from dermedge_runtime.errors import DermedgeError, UsageError

from .branch import ImageBranch
from .dermiresnet import PaperFamily
from .efficientnet_lite import LiteFamily
from .family import BranchFamily
from .fixcaps import FixCapsFamily
from .side_by_side import SideBySideFamily
from .timm_networks import TimmFamily
from .torchvision_networks import TorchvisionFamily

# The first four need no import of a library to know their names, and TimmFamily knows its own by their beginning.
FAMILIES: tuple[BranchFamily, ...] = (
    PaperFamily(),
    FixCapsFamily(),
    SideBySideFamily(lambda name: family_of(name)),
    LiteFamily(),
    TimmFamily(),
    TorchvisionFamily(),
)


_ON_EMBEDDINGS = (
    "A run on given embeddings (`dermedge train --embeddings FILE`) has no image branch: it cannot make embeddings of a"
    " picture, and neither could a model file or a training that begins with it. --freeze-image-branch with an"
    " --image-branch gives a run that can."
)


def family_of(name: str) -> BranchFamily:
    """Find the family of a branch.

    :raises UsageError: what stands in the place of a branch where embeddings are given, which is nothing to export,
        explain or start from; or an unknown name: the message has the nearest, and says how many there are.
    :raises DermedgeError: the library that the name asks for is not installed.
    """
    if name == EMBEDDINGS:
        raise UsageError(_ON_EMBEDDINGS)
    absent: DermedgeError | None = None
    for family in FAMILIES:
        if not name.startswith(family.prefix):
            continue
        try:
            if family.has(name):
                return family
        except DermedgeError as error:
            if family.prefix:
                raise
            absent = error
    raise UsageError(f"{_unknown(name)}{f' {absent}' if absent else ''}")


def new_branch(name: str, dropout: float = 0.2) -> ImageBranch:
    """Make an untrained branch by its name; see `BranchFamily.make`."""
    return family_of(name).make(name, dropout)


def known_names(family: BranchFamily) -> tuple[str, ...]:
    """Give the names of a family; none where its library is not installed."""
    try:
        return family.names()
    except DermedgeError:
        return ()


def _unknown(name: str) -> str:
    listed = [each for family in FAMILIES if not family.prefix for each in known_names(family)]
    others = {family: known_names(family) for family in FAMILIES if family.prefix}
    ending = nearest(name, [*listed, *(each for names in others.values() for each in names)])
    more = "".join(f", {family.library} has {len(names)} more" for family, names in others.items() if names)
    return f"There is no image branch '{name}'{ending} `dermedge branches` lists {len(listed)}{more}."
