"""Each modality attends to itself, then each to the other: MMF-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from dermedge.models.clinical_branch import CLINICAL_FEATURES
from dermedge.models.image_head import IMAGE_FEATURES

from .base import Fusion, GivenImage
from .cross_attention import CrossAttention
from .self_attention import TokenAttention


class MMFNet(Fusion):
    """z = [x' + C(x', y'); y' + D(y', x')] with x' = A(x), y' = B(y).

    After Ou et al. 2022 (10.3389/fsurg.2022.1029991): self-attention within each modality (A and B), then
    cross-attention between them in both directions (C and D, with C(a, b) = softmax(Q_a K_b^T / sqrt(d)) V_b), then
    both side by side. This order is theirs; their equations and sizes we have not compared. The tokens, 16 of x and 8
    of y with 32 features each, and the residuals, which keep both modalities, are those of our `self_attention` and
    `cross_attention`; attention over a vector as one token would be a linear map, as said there.
    """

    features = IMAGE_FEATURES + CLINICAL_FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.image, self.clinical = TokenAttention(), TokenAttention()
        self.image_asks, self.clinical_asks = CrossAttention(), CrossAttention()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map float [B, 512] and float [B, 256] to float [B, 768]."""
        image, clinical = self.image(x), self.clinical(y)
        return torch.cat([self.image_asks(image, clinical), self.clinical_asks(clinical, image)], dim=1)

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Let the image attend to itself once, and make its queries, keys and values once; see the base class."""
        assert isinstance(project, nn.Linear)
        of_image, of_clinical = project.weight[:, :IMAGE_FEATURES], project.weight[:, IMAGE_FEATURES:]
        image = self.image(x)
        image_attends = self.image_asks.given_image(image, nn.Identity())
        clinical_attends = self.clinical_asks.given_asked(image)

        def projected(y: Tensor) -> Tensor:
            clinical = self.clinical(y.flatten(0, 1)).reshape(y.shape)
            hidden = functional.linear(image_attends(clinical).flatten(0, 1), of_image, project.bias)
            hidden = hidden + functional.linear(clinical_attends(clinical).flatten(0, 1), of_clinical)
            return hidden.reshape(y.shape[0], y.shape[1], -1)

        return projected
