"""Several trained networks that answer together: their probabilities are averaged (Gessert et al. 2020, section 2.5;
late fusion, where one reads the picture and another the clinical values).

Members may have any fusion, image branch and size of picture. All are shown the same picture, of the largest size; a
member of a smaller size shrinks it (`resizing`). Not covered: where the weights come from (`training.ensemble`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from .classifier import FusedClassifier
from .clinical_branch import ClinicalEncoder
from .modalities import Modalities
from .resizing import Resizing

SMALLEST_PROBABILITY = 1e-35
"""A member's, so that its logarithm is a number: float32 has few smaller ones, and some devices have none."""


class EnsembleMember(nn.Module):
    """A network that is shown a picture of the ensemble's size, and shrinks it to its own."""

    def __init__(self, network: FusedClassifier, size: int, ensemble_size: int) -> None:
        """Take a network.

        :param size: height and width of the pictures that it was trained on; of no meaning where it reads none.
        :param ensemble_size: of those that it is shown, at least as large.
        """
        super().__init__()
        self.network = network
        self.shrinking = Resizing(ensemble_size, size if network.trunk is not None else ensemble_size)

    def forward(self, image: Tensor | None, numeric: Tensor | None, categorical: Tensor | None) -> Tensor:
        """Map float [B, 3, H, W], float [B, Nn], int [B, Nc] to logits float32 [B, classes]; see `FusedClassifier`."""
        logits: Tensor = self.network(None if image is None else self.shrinking(image), numeric, categorical)
        return logits


class Ensemble(nn.Module):
    """Picture in [0, 1] and raw clinical values to class scores: the logarithm of the members' mean probabilities."""

    def __init__(self, networks: Sequence[FusedClassifier], sizes: Sequence[int]) -> None:
        """Join networks.

        :param networks: at least one, of the same classes and the same encoding of clinical values.
        :param sizes: height and width of the pictures that each was trained on; of no meaning where it reads none.
        """
        super().__init__()
        largest = max((size for each, size in zip(networks, sizes, strict=True) if each.trunk is not None), default=0)
        self.members = nn.ModuleList(
            EnsembleMember(each, size, largest) for each, size in zip(networks, sizes, strict=True)
        )

    @property
    def parts(self) -> list[EnsembleMember]:
        """The members, in their order."""
        return cast("list[EnsembleMember]", list(self.members))

    @property
    def networks(self) -> list[FusedClassifier]:
        """Those of the members, in their order."""
        return [member.network for member in self.parts]

    @property
    def modalities(self) -> Modalities:
        """What any of them reads."""
        read = [network.modalities for network in self.networks]
        return Modalities(image=any(each.image for each in read), clinical=any(each.clinical for each in read))

    @property
    def has_heatmap(self) -> bool:
        """Whether all members that read the picture have a heat map: a mean of some would speak for all."""
        reading = [network for network in self.networks if network.trunk is not None]
        return bool(reading) and all(network.has_heatmap for network in reading)

    @property
    def encoder(self) -> ClinicalEncoder | None:
        """What encodes the clinical values, for all members alike; None where none reads any."""
        return next((network.encoder for network in self.networks if network.encoder is not None), None)

    def forward(self, image: Tensor | None, numeric: Tensor | None, categorical: Tensor | None) -> Tensor:
        """Map float [B, 3, H, W], float [B, Nn], int [B, Nc] to scores float32 [B, classes].

        Inputs of a modality that no member reads may be None.
        """
        return mean_scores([probabilities_of(member(image, numeric, categorical)) for member in self.parts])


def probabilities_of(logits: Tensor) -> Tensor:
    """Give a member's probabilities, float32 [..., classes], none of them below `SMALLEST_PROBABILITY`."""
    return torch.softmax(logits, dim=-1).clamp_min(SMALLEST_PROBABILITY)


def mean_scores(probabilities: Sequence[Tensor]) -> Tensor:
    """Give the scores of an ensemble, whose softmax is the mean of its members' probabilities; float32 [..., classes].

    :param probabilities: as `probabilities_of` gives them, of shapes that broadcast.
    """
    total = probabilities[0]
    for each in probabilities[1:]:
        total = total + each
    return torch.log(total / len(probabilities))
