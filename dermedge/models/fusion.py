"""Fusions of the 512 image features x and the 256 clinical features y into one vector z (paper, section 3.5).

A fusion is one class and one line of `FUSIONS`. It is a pure function of (x, y) made of matrix products and
element-wise operations, because its gradient is exported as a graph too.
"""

from __future__ import annotations

import difflib
import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from dermedge_runtime.errors import UsageError

from .clinical_branch import CLINICAL_FEATURES
from .dermiresnet import IMAGE_FEATURES

_TOKEN = 32


class Fusion(nn.Module):
    """Base of all fusions; `forward(x, y)` maps float [..., 512] and float [..., 256] to float [..., features].

    The leading dimensions broadcast: an explanation fuses one x with many y, and what depends on x alone must then be
    computed once.
    """

    uses_image: ClassVar[bool] = True
    uses_clinical: ClassVar[bool] = True
    features: ClassVar[int]
    """Length of z."""


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
        """Map float [..., 512] and float [..., 256] to float [..., 512]."""
        image = x.reshape(*x.shape[:-1], IMAGE_FEATURES // _TOKEN, _TOKEN)
        clinical = y.reshape(*y.shape[:-1], CLINICAL_FEATURES // _TOKEN, _TOKEN)
        scores = self.query(image) @ self.key(clinical).transpose(-1, -2) / math.sqrt(_TOKEN)
        fused: Tensor = (image + torch.softmax(scores, dim=-1) @ self.value(clinical)).flatten(-2)
        return fused


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
