"""Element-wise product of both modalities in a common space."""

from __future__ import annotations

from torch import Tensor, nn

from dermedge.models.clinical_branch import CLINICAL_FEATURES
from dermedge.models.image_head import IMAGE_FEATURES

from .base import Fusion, GivenImage


class Hadamard(Fusion):
    """z = x' * y with x' = Linear(x) (equation 6).

    y lies in the common space of 256 already: the clinical branch ends in a linear layer, and a second one would add
    nothing.
    """

    features = CLINICAL_FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Linear(IMAGE_FEATURES, CLINICAL_FEATURES)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map float [B, 512] and float [B, 256] to float [B, 256]."""
        z: Tensor = self.image(x) * y
        return z

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Compute x' once; see the base class."""
        image = self.image(x).unsqueeze(1)
        return lambda y: project((image * y).flatten(0, 1)).reshape(y.shape[0], y.shape[1], -1)
