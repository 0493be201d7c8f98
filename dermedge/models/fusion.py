"""Fusions of the 512 image features x and the 256 clinical features y into one vector z (paper, section 3.5).

A fusion is one class and one line of `FUSIONS`. It is a pure function of (x, y) made of matrix products and
element-wise operations, because its gradient is exported as a graph too.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from dermedge_runtime.errors import UsageError

from .clinical_branch import CLINICAL_FEATURES
from .dermiresnet import IMAGE_FEATURES

_TOKEN = 32


GivenImage: TypeAlias = Callable[[Tensor], Tensor]
"""Clinical vectors y float [B, S, 256] of B images, S of each, to float [B, S, out]."""


class Fusion(nn.Module):
    """Base of all fusions; `forward(x, y)` maps float [B, 512] and float [B, 256] to z, float [B, features]."""

    uses_image: ClassVar[bool] = True
    uses_clinical: ClassVar[bool] = True
    features: ClassVar[int]
    """Length of z."""

    def given_image(self, x: Tensor, project: nn.Linear) -> GivenImage:
        """Hold the images fixed: give y -> project(z), with what depends on the image alone computed once.

        An explanation fuses one image with 50 clinical vectors. This is the plain way, for every fusion; a fusion that
        can contract its image side overrides it.

        :param x: float [B, 512].
        :param project: the layer that reads z.
        """

        def projected(y: Tensor) -> Tensor:
            batch, steps, features = y.shape
            repeated = x[:, None, :].expand(-1, steps, -1).reshape(batch * steps, x.shape[1])
            hidden: Tensor = project(self(repeated, y.reshape(batch * steps, features)))
            return hidden.reshape(batch, steps, -1)

        return projected


class ImageOnly(Fusion):
    """z = x: the image branch alone (paper, table 6)."""

    uses_clinical = False
    features = IMAGE_FEATURES

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Give x."""
        return x


class ClinicalOnly(Fusion):
    """z = y: the clinical branch alone (paper, table 6)."""

    uses_image = False
    features = CLINICAL_FEATURES

    def forward(self, x: Tensor | None, y: Tensor) -> Tensor:
        """Give y."""
        return y

    def given_image(self, x: Tensor | None, project: nn.Linear) -> GivenImage:
        """There is no image to hold; see the base class."""

        def projected(y: Tensor) -> Tensor:
            hidden: Tensor = project(y.flatten(0, 1))
            return hidden.reshape(y.shape[0], y.shape[1], -1)

        return projected


class CrossAttention(Fusion):
    """Z = X + softmax(Q_x K_y^T / sqrt(d)) V_y over tokens of x and y (equation 13).

    As printed, x and y are one token each, so the softmax over a single key is 1, z = V_y and the image is ignored.
    Here x is split into 16 tokens of 32 and y into 8 tokens of 32, image tokens query clinical tokens, and the residual
    keeps the image.
    """

    features = IMAGE_FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(_TOKEN, _TOKEN, bias=False)
        self.key = nn.Linear(_TOKEN, _TOKEN, bias=False)
        self.value = nn.Linear(_TOKEN, _TOKEN, bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Map float [B, 512] and float [B, 256] to float [B, 512]."""
        return x + self._attended(self._queries(x), y[:, None, :])

    def given_image(self, x: Tensor, project: nn.Linear) -> GivenImage:
        """Contract the queries once; see the base class."""
        queries = self._queries(x)

        def projected(y: Tensor) -> Tensor:
            batch, steps, _ = y.shape
            fused = x[:, None, :] + self._attended(queries, y).reshape(batch, steps, -1)
            hidden: Tensor = project(fused.flatten(0, 1))
            return hidden.reshape(batch, steps, -1)

        return projected

    def _queries(self, x: Tensor) -> Tensor:
        """Give Q_x W_K / sqrt(d), float [B, 16, 32]: its product with a clinical token is the token's score."""
        tokens = x.reshape(-1, _TOKEN)
        queries: Tensor = self.query(tokens) @ self.key.weight / math.sqrt(_TOKEN)
        return queries.reshape(x.shape[0], IMAGE_FEATURES // _TOKEN, _TOKEN)

    def _attended(self, queries: Tensor, y: Tensor) -> Tensor:
        """Attend to the clinical tokens of float [B, S, 256]; float [B * S, 512].

        Products of three dimensions and a softmax over the last one: anything else becomes a transposition of single
        numbers in the exported graph, dearer than the product itself.
        """
        batch, steps, length = y.shape
        n_image, n_clinical = queries.shape[1], length // _TOKEN
        keys = y.reshape(batch, steps * n_clinical, _TOKEN)
        scores = torch.bmm(queries, keys.transpose(1, 2)).reshape(batch, n_image, steps, n_clinical)
        weights = torch.softmax(scores, dim=-1).transpose(1, 2).reshape(batch * steps, n_image, n_clinical)
        values = self.value(y.reshape(-1, _TOKEN)).reshape(batch * steps, n_clinical, _TOKEN)
        return torch.bmm(weights, values).reshape(batch * steps, n_image * _TOKEN)


FUSIONS: dict[str, type[Fusion]] = {
    "cross_attention": CrossAttention,
    "image_only": ImageOnly,
    "clinical_only": ClinicalOnly,
}


def fusion_class(name: str) -> type[Fusion]:
    """Look a fusion up.

    :raises UsageError: unknown; the message lists all and names the nearest.
    """
    if name in FUSIONS:
        return FUSIONS[name]
    near = difflib.get_close_matches(name, FUSIONS, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UsageError(f"Unknown fusion '{name}'; known are {', '.join(FUSIONS)}.{hint}")
