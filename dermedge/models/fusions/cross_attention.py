"""The image asks, the patient answers: attention from image tokens to clinical tokens."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dermedge.models.image_head import IMAGE_FEATURES

from .base import Fusion, GivenImage

_TOKEN = 32


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
        return x + self._attended(self._queries(x), y.unsqueeze(1), _scores)

    def given_image(self, x: Tensor, project: nn.Module) -> GivenImage:
        """Contract the queries once; see the base class.

        The residual is added to every step: contracting it too is one product more, and dearer than the sum.
        """
        queries = self._queries(x)

        def projected(y: Tensor) -> Tensor:
            batch, steps, _ = y.shape
            fused = x[:, None, :] + self._attended(queries, y, _Scores.apply).reshape(batch, steps, x.shape[1])
            hidden: Tensor = project(fused.flatten(0, 1))
            return hidden.reshape(batch, steps, -1)

        return projected

    def given_asked(self, asked: Tensor) -> GivenImage:
        """Hold what is attended to: give the function from asking vectors to the same with what they attend to added.

        The other way round than `given_image`, for a fusion in which the clinical values ask and the image answers.

        :param asked: float [B, m * 32].
        :return: function of float [B, S, n * 32] to the same shape.
        """
        keys = self.key(_tokens(asked)) @ self.query.weight / math.sqrt(_TOKEN)
        values = self.value(_tokens(asked)).reshape(asked.shape[0], -1, _TOKEN)
        turned = keys.reshape(asked.shape[0], -1, _TOKEN).transpose(1, 2)

        def attended(asking: Tensor) -> Tensor:
            # The tokens of all steps side by side: each asks for itself.
            weights = torch.softmax(torch.bmm(asking.reshape(asking.shape[0], -1, _TOKEN), turned), dim=-1)
            return asking + torch.bmm(weights, values).reshape(asking.shape)

        return attended

    def _queries(self, x: Tensor) -> Tensor:
        """Give Q_x W_K / sqrt(d), float [B, 16, 32]: its product with a clinical token is the token's score."""
        queries: Tensor = self.query(_tokens(x)) @ self.key.weight / math.sqrt(_TOKEN)
        return queries.reshape(x.shape[0], x.shape[1] // _TOKEN, _TOKEN)

    def _attended(self, queries: Tensor, y: Tensor, score: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Attend to the clinical tokens of float [B, S, 256]; float [B * S, 512].

        Products of three dimensions and a softmax over the last one: anything else becomes a transposition of single
        numbers in the exported graph, dearer than the product itself.

        :param score: queries float [N, 16, 32] and keys float [N, 8, 32] to float [N, 16, 8].
        """
        batch, steps, length = y.shape
        n_image, n_clinical = queries.shape[1], length // _TOKEN
        keys = y.reshape(batch * steps, n_clinical, _TOKEN)
        repeated = queries[:, None].expand(-1, steps, -1, -1).reshape(batch * steps, n_image, _TOKEN)
        weights = torch.softmax(score(repeated, keys), dim=-1)
        values = self.value(y.reshape(batch * steps * n_clinical, _TOKEN)).reshape(batch * steps, n_clinical, _TOKEN)
        return torch.bmm(weights, values).reshape(batch * steps, n_image * _TOKEN)


def _tokens(vectors: Tensor) -> Tensor:
    """Cut float [B, n * 32] into float [B * n, 32]."""
    return vectors.reshape(vectors.shape[0] * (vectors.shape[1] // _TOKEN), _TOKEN)


def _scores(queries: Tensor, keys: Tensor) -> Tensor:
    return torch.bmm(queries, keys.transpose(1, 2))


class _Scores(torch.autograd.Function):
    """`_scores` with the keys' gradient as (d scores)^T queries, where torch's is (queries^T d scores)^T.

    Exported, the transposition of torch's result is a copy, number by number, and the dearest node of the clinical
    explanation; that of the scores' gradient is an attribute of the product. Not for autocast.
    """

    @staticmethod
    def forward(ctx: Any, queries: Tensor, keys: Tensor) -> Tensor:
        ctx.save_for_backward(queries, keys)
        return _scores(queries, keys)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        queries, keys = ctx.saved_tensors
        (gradient,) = gradients
        return torch.bmm(gradient, keys), torch.bmm(gradient.transpose(1, 2), queries)
