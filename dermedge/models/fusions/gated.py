"""A gate decides for every feature how much of it is the image's and how much the patient's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dermedge.models.clinical_branch import CLINICAL_FEATURES
from dermedge.models.image_head import IMAGE_FEATURES

from .base import Fusion, GivenImage


class Gated(Fusion):
    """g = sigmoid(W_x x' + W_y y + b), z = g * x' + (1 - g) * y with x' = Linear(x) (equations 10 and 11)."""

    features = CLINICAL_FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Linear(IMAGE_FEATURES, CLINICAL_FEATURES)
        self.image_gate = nn.Linear(CLINICAL_FEATURES, CLINICAL_FEATURES)
        self.clinical_gate = nn.Linear(CLINICAL_FEATURES, CLINICAL_FEATURES, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map float [B, 512] and float [B, 256] to float [B, 256]."""
        image = self.image(x)
        return _mixed(image, y, self.image_gate(image) + self.clinical_gate(y))

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Compute x' and its share of the gate once; see the base class."""
        image = self.image(x)
        held, image = self.image_gate(image).unsqueeze(1), image.unsqueeze(1)

        def projected(y: Tensor) -> Tensor:
            gate = held + self.clinical_gate(y.flatten(0, 1)).reshape(y.shape)
            hidden: Tensor = project(_mixed(image, y, gate).flatten(0, 1))
            return hidden.reshape(y.shape[0], y.shape[1], -1)

        return projected


def _mixed(image: Tensor, y: Tensor, gate: Tensor) -> Tensor:
    """Equation 11 with one product less: g x' + (1 - g) y = y + g (x' - y)."""
    return y + torch.sigmoid(gate) * (image - y)
