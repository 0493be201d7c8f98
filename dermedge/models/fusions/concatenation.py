"""Concatenation, plain and weighted; base of every fusion whose modalities meet in the classifier only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dermedge.models.clinical_branch import CLINICAL_FEATURES
from dermedge.models.image_head import IMAGE_FEATURES

from .base import Fusion, GivenImage


class Concatenation(Fusion):
    """z = [x; y] (equation 4)."""

    features = IMAGE_FEATURES + CLINICAL_FEATURES

    def image_part(self, x: Tensor) -> Tensor:
        """What z has of x; float [B, 512] to the same shape."""
        return x

    def clinical_part(self, y: Tensor) -> Tensor:
        """What z has of y; float [B, 256] to the same shape."""
        return y

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map float [B, 512] and float [B, 256] to float [B, 768]."""
        return torch.cat([self.image_part(x), self.clinical_part(y)], dim=1)

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Project the image's part once; see the base class."""
        assert isinstance(project, nn.Linear)
        of_image, of_clinical = project.weight[:, :IMAGE_FEATURES], project.weight[:, IMAGE_FEATURES:]
        held = functional.linear(self.image_part(x), of_image, project.bias).unsqueeze(1)

        def projected(y: Tensor) -> Tensor:
            moved = functional.linear(self.clinical_part(y.flatten(0, 1)), of_clinical)
            return moved.reshape(y.shape[0], y.shape[1], -1) + held

        return projected


class WeightedConcatenation(Concatenation):
    """z = [w1 x; w2 y] with learnable scalars w1 and w2 (equation 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.image_weight = nn.Parameter(torch.ones(()))
        self.clinical_weight = nn.Parameter(torch.ones(()))

    def image_part(self, x: Tensor) -> Tensor:
        """Give w1 x."""
        return self.image_weight * x

    def clinical_part(self, y: Tensor) -> Tensor:
        """Give w2 y."""
        return self.clinical_weight * y
