"""The patient weighs the features of the picture: MetaNet."""

from __future__ import annotations

from torch import Tensor, nn

from dermedge.models.clinical_branch import CLINICAL_FEATURES
from dermedge.models.image_head import IMAGE_FEATURES

from .base import Fusion, GivenImage

_HIDDEN = 128


class MetaNet(Fusion):
    """z = x * sigmoid(W2 relu(W1 y + b1) + b2) (Li et al. 2020, 10.1109/ISBI45749.2020.9098645).

    MetaNet weighs the channels of the feature map, and reads the encoded clinical values. Weighing before an average
    over the pixels is weighing after it, so nothing is lost by doing it on vectors; but here the 512 features of the
    image head are weighed, by the 256 of the clinical branch, as every other fusion reads them.
    """

    features = IMAGE_FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(CLINICAL_FEATURES, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, IMAGE_FEATURES), nn.Sigmoid()
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map float [B, 512] and float [B, 256] to float [B, 512]."""
        z: Tensor = x * self.gate(y)
        return z

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Weigh each image without repeating it; see the base class."""
        image = x.unsqueeze(1)

        def projected(y: Tensor) -> Tensor:
            weights = self.gate(y.flatten(0, 1)).reshape(y.shape[0], y.shape[1], -1)
            hidden: Tensor = project((image * weights).flatten(0, 1))
            return hidden.reshape(y.shape[0], y.shape[1], -1)

        return projected
