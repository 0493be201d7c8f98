"""The patient scales and shifts the features of the picture: MetaBlock."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dermedge.models.clinical_branch import CLINICAL_FEATURES
from dermedge.models.image_head import IMAGE_FEATURES

from .base import Fusion, GivenImage


class MetaBlock(Fusion):
    """z = sigmoid(tanh(f(y) * x) + g(y)) (Pacheco and Krohling 2021, 10.1109/JBHI.2021.3062002).

    f and g are a linear layer and batch normalisation each, as in the authors' code; the export merges the two. Theirs
    acts on the feature map and reads the encoded clinical values. Here x is the 512 features of the image head, after
    the average over the pixels, and y the 256 of the clinical branch, as every other fusion reads them.
    """

    features = IMAGE_FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = _normalised(), _normalised()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map float [B, 512] and float [B, 256] to float [B, 512]."""
        return torch.sigmoid(torch.tanh(self.scale(y) * x) + self.shift(y))

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Scale and shift each image without repeating it; see the base class."""
        image = x.unsqueeze(1)

        def projected(y: Tensor) -> Tensor:
            shape, flat = (y.shape[0], y.shape[1], -1), y.flatten(0, 1)
            z = torch.sigmoid(torch.tanh(self.scale(flat).reshape(shape) * image) + self.shift(flat).reshape(shape))
            hidden: Tensor = project(z.flatten(0, 1))
            return hidden.reshape(shape)

        return projected


def _normalised() -> nn.Sequential:
    return nn.Sequential(nn.Linear(CLINICAL_FEATURES, IMAGE_FEATURES), nn.BatchNorm1d(IMAGE_FEATURES))
