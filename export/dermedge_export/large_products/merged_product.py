"""Merge the layers around a tensor or bilinear fusion into it: half the weights, exactly the same scores.

Such a fusion is linear in y for a given x. The clinical branch ends in a linear layer y = L r + l without activation,
and a linear layer reads z, so that all three are one form in x and the 128 clinical features r:

    hidden_h = sum over r, i of W'[r, h, i] r_r x_i + sum over i of o[h, i] x_i + b_h,   W' = L^T W, o = l^T W.

W' is the largest tensor of the whole network (67 MB in float32) and reading it is what such a fusion costs, so half of
it is half the time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dermedge.models.classifier import Head
from dermedge.models.fusions.base import Fusion, GivenImage
from dermedge.models.fusions.large_products import Product

_SMALLEST_SCALE = 1e-30


class MergedProduct(Fusion):
    """Image features x float [B, 512] and clinical features r float [B, 128] to the hidden layer float [B, 256]."""

    def __init__(self, coefficients: Tensor, last: nn.Linear, bias: Tensor) -> None:
        """Merge.

        :param coefficients: W, float [hidden, 256, 512].
        :param last: the clinical branch's last layer.
        :param bias: of the hidden layer, float [hidden].
        """
        super().__init__()
        hidden, _, image = coefficients.shape
        # Column 256 r + h, so that the contracted image is a matrix [128, 256] that clinical vectors are multiplied
        # with as it is, and its gradient too: the other order costs a transposition of 32,768 numbers.
        maps = torch.matmul(last.weight.T, coefficients).transpose(0, 1).reshape(-1, image).T
        # Columns of the same size: eight bits with one step serve the product and its gradient, which reads the rows.
        scale = maps.abs().amax(dim=0).clamp_min(_SMALLEST_SCALE)
        self.maps = nn.Parameter((maps / scale).contiguous())
        self.scale = nn.Parameter(scale)
        self.offset = nn.Linear(image, hidden)
        self.offset.weight = nn.Parameter(torch.matmul(last.bias, coefficients))
        self.offset.bias = nn.Parameter(bias.clone())

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map float [B, 512] and float [B, 128] to float [B, 256]."""
        return self.given_image(x, nn.Identity())(y.unsqueeze(1)).squeeze(1)

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Contract the image once; `project` is merged into it already."""
        held = self.offset(x).unsqueeze(1)
        maps = (x @ self.maps * self.scale).reshape(x.shape[0], -1, self.offset.out_features)
        return lambda y: torch.bmm(y, maps) + held


@torch.no_grad()
def merge_product(head: Head) -> None:
    """Merge in place, where the head's fusion is a product; any other head is left alone."""
    if not isinstance(head.fusion, Product):
        return
    assert head.clinical is not None
    last, reader = head.clinical[-1], head.classifier[0]
    assert isinstance(last, nn.Linear) and isinstance(reader, nn.Linear)
    head.fusion = MergedProduct(head.fusion.coefficients(reader), last, reader.bias)
    head.clinical = nn.Sequential(*list(head.clinical)[:-1])
    head.classifier[0] = nn.Identity()
