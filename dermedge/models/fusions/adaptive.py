"""A mixture of fusions, weighed anew for every patient."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .base import HIDDEN_FEATURES, Fusion, GivenImage
from .concatenation import Concatenation
from .cross_attention import CrossAttention
from .hadamard import Hadamard
from .single import ImageOnly


class Adaptive(Fusion):
    """z = sum over k of g_k (P_k z_k + p_k) with g = softmax(G [x; y] + g_0); z_k of four other fusions.

    They are `concat`, `hadamard`, `cross_attention` and `image_only`: a sum, a product, an attention, and the picture
    alone, for patients of whom little is known. P_k projects each to one width. A mixture of experts with a soft gate
    (Jacobs et al. 1991, 10.1162/neco.1991.3.1.79), whose experts are fusions.
    """

    features = HIDDEN_FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(
            {
                "concat": Concatenation(),
                "hadamard": Hadamard(),
                "cross_attention": CrossAttention(),
                "image_only": ImageOnly(),
            }
        )
        self.projections = nn.ModuleDict(
            {name: nn.Linear(_fusion(part).features, self.features) for name, part in self.parts.items()}
        )
        self.both = Concatenation()
        self.gate = nn.Linear(self.both.features, len(self.parts))

    def new_reader(self, hidden: int) -> nn.Module:
        """Give what changes nothing: the projections read z_k, and a linear layer after them would add nothing."""
        assert hidden == self.features
        return nn.Identity()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map float [B, 512] and float [B, 256] to float [B, 256], before the activation."""
        projected = [self.projections[name](part(x, y)) for name, part in self.parts.items()]
        return _mixed(self.gate(self.both(x, y)), projected)

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Hold the image in every part and in the gate; see the base class."""
        gate = self.both.given_image(x, self.gate)
        parts = [_fusion(part).given_image(x, self.projections[name]) for name, part in self.parts.items()]

        def projected(y: Tensor) -> Tensor:
            z = _mixed(gate(y).flatten(0, 1), [part(y).flatten(0, 1) for part in parts])
            hidden: Tensor = project(z)
            return hidden.reshape(y.shape[0], y.shape[1], -1)

        return projected


def _fusion(module: nn.Module) -> Fusion:
    assert isinstance(module, Fusion)
    return module


def _mixed(scores: Tensor, parts: list[Tensor]) -> Tensor:
    """Mix K parts float [B, out] by scores float [B, K].

    As a product of matrices: the gradient of a weight picked out of others is a scatter, which TensorRT rejects.
    """
    weights = torch.softmax(scores, dim=1)
    return torch.bmm(weights.unsqueeze(1), torch.cat([part.unsqueeze(1) for part in parts], dim=1)).squeeze(1)
