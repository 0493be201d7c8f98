"""Capsules: what a picture shows as vectors, whose lengths say whether it is there (Sabour, Frosst and Hinton, "Dynamic
Routing Between Capsules", NeurIPS 2017; arXiv 1710.09829; equations 1 to 3 and procedure 1).

The last map is cut into primary capsules of 8 numbers, one for every type and cell. Each foretells all class capsules
by a matrix of its own, and is heard by those it agrees with: three rounds, unrolled. The class capsules, one behind the
other, are the pooled features. They are no mean of cells, so Grad-CAM is not defined on them.

Every picture is routed alone, as the publication has it: an answer must not depend on what else is in the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dermedge.models.branches.branch import OwnPooling

ROUNDS = 3
CLASS_CAPSULES = 7
"""As many as HAM10000 has diagnoses, whatever the data: a head reads them, and has the classes."""
CLASS_SIZE = 16
PRIMARY_SIZE = 8
_SPREAD = 0.2
"""Standard deviation of untrained matrices: of 576 capsules the class capsules are then neither nothing nor of length
1, where no gradient comes through."""
_SMALLEST = 1e-9


class CapsuleRouting(OwnPooling):
    """Primary capsules to class capsules; float [B, types * 8, side, side] to float32 [B, 7 * 16]."""

    features = CLASS_CAPSULES * CLASS_SIZE

    def __init__(self, types: int, side: int) -> None:
        """Make untrained matrices.

        :param types: of primary capsules; the numbers of each are `PRIMARY_SIZE` channels in a row.
        :param side: cells to a side of the map.
        """
        super().__init__()
        self.types = types
        self.matrices = nn.Parameter(torch.randn(types * side**2, PRIMARY_SIZE, self.features) * _SPREAD)

    def forward(self, feature_map: Tensor) -> Tensor:
        """See the class."""
        cells = feature_map.shape[2] * feature_map.shape[3]
        by_type = feature_map.float().reshape(-1, self.types, PRIMARY_SIZE, cells)
        primary = squash(by_type.permute(1, 3, 0, 2).flatten(0, 1))  # [capsules, B, 8]
        votes = torch.matmul(primary, self.matrices).float()
        return routed(votes.reshape(len(self.matrices), -1, CLASS_CAPSULES, CLASS_SIZE)).flatten(1)


def routed(votes: Tensor) -> Tensor:
    """Let primary capsules agree on class capsules.

    :param votes: what each foretells, float32 [capsules, B, classes, size].
    :return: float32 [B, classes, size], each of a length below 1.
    """
    leanings = torch.zeros_like(votes[..., 0])
    found = _heard(votes, leanings)
    for _ in range(ROUNDS - 1):
        leanings = leanings + (votes * found).sum(dim=3)
        found = _heard(votes, leanings)
    return found


def _heard(votes: Tensor, leanings: Tensor) -> Tensor:
    """Sum the votes, each capsule's weighed by how it leans to the classes, float32 [capsules, B, classes]."""
    return squash((torch.softmax(leanings, dim=2)[..., None] * votes).sum(dim=0))


def squash(vectors: Tensor) -> Tensor:
    """Shorten vectors float32 [..., size] to lengths below 1; long ones are nearly 1, short ones nearly nothing."""
    squares = (vectors * vectors).sum(dim=-1, keepdim=True)
    return vectors * (squares / (1 + squares) / torch.sqrt(squares + _SMALLEST))
