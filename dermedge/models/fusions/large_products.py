"""Every image feature times every clinical feature: tensor fusion and bilinear fusion.

Both end in the same form, hidden_h = sum over j, i of W[h, j, i] y_j x_i + b_h, with 256 x 256 x 512 weights. For a
given image the sum over i is one matrix [256, 256], after which a clinical vector costs no more than in any other
fusion: the outer product is built for training alone.

131,072 terms feed each sum, and a step of Adam is about as large for each of their weights, whatever the gradients: the
sum would move a hundred times as far as in a small layer. So the products are divided by a constant and the weights
start accordingly larger: the same functions can be learned, in smaller steps.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from dermedge.models.clinical_branch import CLINICAL_FEATURES
from dermedge.models.image_head import IMAGE_FEATURES

from .base import Fusion, GivenImage

_TERMS = IMAGE_FEATURES * CLINICAL_FEATURES
_SCALE = 1 / math.sqrt(IMAGE_FEATURES)


class Product(Fusion, ABC):
    """Base of the fusions that are linear in x for a given y, and linear in y for a given x."""

    @abstractmethod
    def maps(self, x: Tensor, project: nn.Linear) -> Tensor:
        """Contract the image's side: the matrices from y to project(z) without its bias, float [B, out, 256]."""

    @abstractmethod
    def coefficients(self, project: nn.Linear) -> Tensor:
        """Give W of the form above, fusion and `project` in one, float [out, 256, 512]."""

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Contract the image with the weights once, to one matrix an image; see the base class."""
        assert isinstance(project, nn.Linear)
        maps = self.maps(x, project)
        return lambda y: torch.bmm(y, maps.transpose(1, 2)) + project.bias


class TensorProduct(Product):
    """Z = x (outer product) y / sqrt(512), flattened (equation 7 up to a constant, see above).

    Flattened as Z[i, j] = z[512 j + i], so that the layer that reads z contracts with x in one matrix product.
    """

    features = _TERMS

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map float [B, 512] and float [B, 256] to float [B, 131072]."""
        return (y[:, :, None] * (_SCALE * x)[:, None, :]).flatten(1)

    def maps(self, x: Tensor, project: nn.Linear) -> Tensor:
        """See the base class."""
        contracted = nn.functional.linear(_SCALE * x, project.weight.reshape(-1, IMAGE_FEATURES))
        return contracted.reshape(x.shape[0], -1, CLINICAL_FEATURES)

    def coefficients(self, project: nn.Linear) -> Tensor:
        """See the base class."""
        return _SCALE * project.weight.reshape(-1, CLINICAL_FEATURES, IMAGE_FEATURES)

    def start_reader(self, project: nn.Linear) -> None:
        """Give hidden units of unit variance for x and y of unit variance."""
        nn.init.normal_(project.weight, std=1 / (_SCALE * math.sqrt(_TERMS)))


class Bilinear(Product):
    """z_k = x^T W_k y / sqrt(512), k = 1 ... 256 (equations 8 and 9 up to a constant, see above)."""

    features = CLINICAL_FEATURES

    def __init__(self) -> None:
        super().__init__()
        # Row 256 k + j is column j of W_k: the contraction with x is one matrix product.
        self.forms = nn.Linear(IMAGE_FEATURES, self.features * CLINICAL_FEATURES, bias=False)
        nn.init.normal_(self.forms.weight, std=1 / (_SCALE * math.sqrt(_TERMS)))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map float [B, 512] and float [B, 256] to float [B, 256]."""
        return torch.bmm(self._forms(x), y[:, :, None])[:, :, 0]

    def maps(self, x: Tensor, project: nn.Linear) -> Tensor:
        """See the base class."""
        maps: Tensor = torch.matmul(project.weight, self._forms(x))
        return maps

    def coefficients(self, project: nn.Linear) -> Tensor:
        """See the base class."""
        mixed = _SCALE * project.weight @ self.forms.weight.reshape(self.features, -1)
        return mixed.reshape(-1, CLINICAL_FEATURES, IMAGE_FEATURES)

    def _forms(self, x: Tensor) -> Tensor:
        forms: Tensor = self.forms(_SCALE * x)
        return forms.reshape(x.shape[0], self.features, CLINICAL_FEATURES)
