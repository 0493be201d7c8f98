"""Each modality attends to itself; then both are concatenated."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .concatenation import Concatenation

_TOKEN = 32


class TokenAttention(nn.Module):
    """V + softmax(Q K^T / sqrt(d)) (V W_V) over the tokens of one vector (equation 12), with a residual."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(_TOKEN, _TOKEN, bias=False)
        self.key = nn.Linear(_TOKEN, _TOKEN, bias=False)
        self.value = nn.Linear(_TOKEN, _TOKEN, bias=False)

    def forward(self, vector: Tensor) -> Tensor:
        """Map float [B, n * 32] to the same shape."""
        batch, length = vector.shape
        shape = batch, length // _TOKEN, _TOKEN
        tokens = vector.reshape(batch * (length // _TOKEN), _TOKEN)
        # Q K^T = v (W_Q W_K^T) v^T: the matrix in the middle is constant after training, one product less per token.
        queries = (tokens @ (self.query.weight.T @ self.key.weight / math.sqrt(_TOKEN))).reshape(shape)
        weights = torch.softmax(torch.bmm(queries, tokens.reshape(shape).transpose(1, 2)), dim=-1)
        return vector + torch.bmm(weights, self.value(tokens).reshape(shape)).reshape(batch, length)


class SelfAttention(Concatenation):
    """z = [A(x); A(y)] with A(v) = v + softmax(Q_v K_v^T / sqrt(d)) V_v over tokens of v (equation 12).

    As printed, each modality is one token, so the softmax over a single key is 1 and A is a plain linear map. Here x is
    split into 16 tokens of 32 and y into 8 tokens of 32, each modality attends to itself with matrices of its own, a
    residual keeps it, and the two are concatenated.
    """

    def __init__(self) -> None:
        super().__init__()
        self.image, self.clinical = TokenAttention(), TokenAttention()

    def image_part(self, x: Tensor) -> Tensor:
        """Give A(x)."""
        z: Tensor = self.image(x)
        return z

    def clinical_part(self, y: Tensor) -> Tensor:
        """Give A(y)."""
        z: Tensor = self.clinical(y)
        return z
