"""One modality alone, the paper's points of comparison (table 6)."""

from __future__ import annotations

from torch import Tensor, nn

from dermedge.models.clinical_branch import CLINICAL_FEATURES
from dermedge.models.image_head import IMAGE_FEATURES

from .base import Fusion, GivenImage


class ImageOnly(Fusion):
    """z = x: the image branch alone (paper, table 6)."""

    uses_clinical = False
    features = IMAGE_FEATURES

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Give x."""
        return x

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Project the image once; see the base class."""
        held = project(x).unsqueeze(1)
        return lambda y: held.expand(-1, y.shape[1], -1)


class ClinicalOnly(Fusion):
    """z = y: the clinical branch alone (paper, table 6)."""

    uses_image = False
    features = CLINICAL_FEATURES

    def forward(self, x: Tensor | None, y: Tensor) -> Tensor:
        """Give y."""
        return y

    def given_image(self, x: Tensor | None, project: nn.Module) -> GivenImage:
        """There is no image to hold; see the base class."""
        return lambda y: project(y.flatten(0, 1)).reshape(y.shape[0], y.shape[1], -1)
