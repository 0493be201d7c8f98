"""Shrink or enlarge by two products with constant matrices: antialiased, and of operators that every runtime has.

TensorRT refuses a Resize with antialias. The weights are those of Pillow's bilinear filter, for which an output pixel
is the mean of the input pixels, weighted by max(0, 1 - distance / r), the distance in pixels of the input and r their
number for one of the output, at least 1. Not covered: Pillow's rounding to whole grey levels, and other filters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def resizing_matrix(size: int, target: int) -> Tensor:
    """Give the weights of every input pixel in every output pixel of one axis, float32 [target, size]."""
    step = size / target
    reach = max(step, 1.0)
    centres = (torch.arange(target, dtype=torch.float64) + 0.5) * step
    distance = torch.arange(size, dtype=torch.float64) + 0.5 - centres[:, None]
    weights = (1 - distance.abs() / reach).clamp_min(0)
    return (weights / weights.sum(dim=1, keepdim=True)).to(torch.float32)


class Resizing(nn.Module):
    """Float32 [..., size, size] to [..., target, target]; of its own size, what is given."""

    def __init__(self, size: int, target: int) -> None:
        """Make the matrix.

        :param size: height and width of what is given.
        :param target: height and width of what is to come of it.
        """
        super().__init__()
        self.target, self.same = target, size == target
        self.register_buffer("matrix", resizing_matrix(size, target), persistent=False)
        self.matrix: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x if self.same else self.matrix @ x @ self.matrix.T
