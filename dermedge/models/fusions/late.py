"""Each modality has a classifier of its own; their scores are added."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dermedge.models.clinical_branch import CLINICAL_FEATURES
from dermedge.models.image_head import IMAGE_FEATURES

from .base import HIDDEN_FEATURES, Fusion, GivenImage


class Late(Fusion):
    """logits = C(x) + D(y), with C and D one hidden layer of 128 and a linear layer each (Restrepo et al. 2024).

    Added logits are multiplied probabilities: p_k proportional to p_k(x) p_k(y), the geometric mean of both answers,
    with learned weights. So is late fusion in the code of that paper (10.1101/2024.06.03.24308401), with 64 hidden
    features each and batch normalisation.

    z is both hidden layers side by side; the linear layers of C and D are the left and the right half of the
    classifier's last one. Both are trained together, by one loss, and either may learn to lean on the other. Separate
    trainings are two runs, `image_only` and `clinical_only`, whose answers are averaged.
    """

    features = HIDDEN_FEATURES

    def __init__(self) -> None:
        super().__init__()
        half = HIDDEN_FEATURES // 2
        self.image, self.clinical = nn.Linear(IMAGE_FEATURES, half), nn.Linear(CLINICAL_FEATURES, half)

    def new_reader(self, hidden: int) -> nn.Module:
        """Give what changes nothing: z is the hidden layer. A layer that mixed both would be fusion before the end."""
        assert hidden == self.features
        return nn.Identity()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map float [B, 512] and float [B, 256] to float [B, 256], before the activation."""
        return torch.cat([self.image(x), self.clinical(y)], dim=1)

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Compute the image's half once; see the base class."""
        held = self.image(x).unsqueeze(1)

        def projected(y: Tensor) -> Tensor:
            moved = self.clinical(y.flatten(0, 1)).reshape(y.shape[0], y.shape[1], -1)
            hidden: Tensor = project(torch.cat([held.expand(-1, y.shape[1], -1), moved], dim=2).flatten(0, 1))
            return hidden.reshape(y.shape[0], y.shape[1], -1)

        return projected
