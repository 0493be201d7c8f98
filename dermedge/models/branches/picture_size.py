"""Whether an image branch can read pictures of a size: found out without its weights, before anything is written."""

from __future__ import annotations

import torch
from torch import Tensor

from dermedge_runtime.errors import UsageError

from .branch import ImageBranch
from .dry_run import without_memory
from .families import family_of

_LARGEST = 1024
"""Of what `--image-size` takes."""


def check_picture_size(name: str, size: int, option: str = "--image-size") -> None:
    """Let a size pass that a branch can read.

    The stride has to divide it, so that the cells of a heat map lie where the network has seen them.

    :param name: of the branch.
    :param size: height and width, in pixels.
    :param option: what it was asked for with.
    :raises UsageError: another size; the message names the nearest ones that do.
    :raises DermedgeError: as `new_branch`.
    """
    family = family_of(name)
    if family.any_size:
        return
    branch = without_memory(lambda: family.make(name, 0.0))
    if suits(branch, size):
        return
    sizes = range(branch.stride, _LARGEST + 1, branch.stride)
    least = next(each for each in sizes if suits(branch, each))
    if size < least:
        raise UsageError(f"{option} {size} is too small for {name}: it reads pictures from {least} pixels up.")
    near = [each for each in sizes if each >= least and abs(each - size) < branch.stride]
    raise UsageError(
        f"{option} {size} does not suit {name}, whose cells are {branch.stride} pixels wide:"
        f" take {' or '.join(map(str, near))}."
    )


def suits(branch: ImageBranch, size: int) -> bool:
    """Whether the stride of a branch on the meta device divides a size, and the map has a cell then."""
    if size % branch.stride:
        return False
    try:
        with torch.no_grad():
            features: Tensor = branch(torch.empty(1, 3, size, size, device="meta"))
    except RuntimeError:  # a kernel, or a pooling window, is larger than what is left of the picture
        return False
    return min(features.shape[2:]) > 0
