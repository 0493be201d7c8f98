"""Grad-CAM and integrated gradients as a graph of forward operations (paper, sections 4.5.1 and 4.5.3).

The last feature map is pooled to one number a channel, so both explanations need gradients of the head alone, a small
function of the pooled map p and the encoded clinical vector e. That function is written with `torch.autograd.grad`
inside it and traced once with symbolic shapes, its parameters as arguments; what comes out is an ordinary graph that
exports.

- Grad-CAM (section 4.5.1): with p = mean(A), dy/dA_ij = (dy/dp) / Z at every pixel, so alpha_k = (dy/dp_k) / Z. Where
  the pooling is another one, dy/dp_k is multiplied by the sum of dp_k/dA_k,ij (`FusedClassifier.summed_gradient`). A is
  the map that is pooled, after attention where there is any.
- Integrated gradients (equation 14): `ig_steps` from the zero baseline, the image features held fixed. All steps run as
  one batch, and what depends on the image alone is computed once. The gradients are taken in the middle of every step,
  not at its end as in equation 15: same cost, half the error on trained weights.

The class is selected by a product with a one-hot vector: the gradient of a gather is a scatter, which TensorRT rejects.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from dermedge.models.classifier import Head
from dermedge.models.fusion import GivenImage

from .ig_steps import DEFAULT_STEPS

_SMALLEST_SCALE = 1e-12
_TRACE_BATCH = 3


class ExplainedHead(nn.Module):
    """A head that also gives the gradients of the chosen class's score."""

    def __init__(self, head: Head, steps: int = DEFAULT_STEPS) -> None:
        """Take a head.

        :param steps: of the integrated gradients, see `ig_steps`.
        """
        super().__init__()
        self.head, self.steps = head, steps

    def forward(
        self, pooled: Tensor | None, clinical: Tensor | None, target: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Score and differentiate.

        :param pooled: float32 [B, 512].
        :param clinical: float32 [B, F], encoded.
        :param target: int32 [B], the class to explain; -1 for the predicted one.
        :return: logits float32 [B, classes]; d score / d pooled float32 [B, 512]; signed integrated gradients float32
            [B, F]. A modality that is not read gives None.
        """
        if clinical is None:
            assert pooled is not None
            logits = self.head(pooled, None)
            chosen = _one_hot(logits, target)
            return logits, torch.autograd.grad(logits, pooled, chosen)[0], None
        given = self.head.given_image(pooled)
        assert self.head.clinical is not None
        logits = self.head.scores(given(self.head.clinical(clinical)[:, None, :]).flatten(0, 1))
        chosen = _one_hot(logits, target)
        gradient = None
        if pooled is not None:
            (gradient,) = torch.autograd.grad(logits, pooled, chosen, retain_graph=True)
        return logits, gradient, self._integrate(given, clinical, chosen)

    def _integrate(self, given: GivenImage, clinical: Tensor, chosen: Tensor) -> Tensor:
        assert self.head.clinical is not None
        fractions = (torch.arange(self.steps, dtype=torch.float32, device=clinical.device) + 0.5) / self.steps
        batch, features = clinical.shape
        first, *rest = self.head.clinical
        assert isinstance(first, nn.Linear)
        points = fractions[None, :, None] * clinical.detach()[:, None, :]  # [B, S, F]
        # Layers run on [B * S, ...]: on three dimensions each of them would be wrapped in reshapes, forth and back.
        path = first(points.reshape(-1, features)).detach().requires_grad_()
        y = path
        for layer in rest:
            y = layer(y)
        hidden = given(y.reshape(batch, self.steps, -1))
        (gradients,) = torch.autograd.grad(hidden, path, self._slope(hidden, chosen))
        # The first layer is linear: the mean over the steps may as well be taken before its gradient, on one row.
        mean = gradients.reshape(batch, self.steps, -1).mean(dim=1) @ first.weight
        attribution: Tensor = clinical * mean
        return attribution

    def _slope(self, hidden: Tensor, chosen: Tensor) -> Tensor:
        """Give d score / d hidden, float32 [B, S, 256].

        After the hidden layer come a ReLU and a linear layer: the chosen class's row where the ReLU is open. Written
        as a product, because the select that its traced gradient would be is several times dearer on a CPU.
        """
        last = self.head.classifier[-1]
        assert isinstance(last, nn.Linear)
        return (hidden > 0).to(torch.float32) * (chosen @ last.weight)[:, None, :]


def _one_hot(logits: Tensor, target: Tensor) -> Tensor:
    classes = torch.arange(logits.shape[1], dtype=torch.int32, device=logits.device)
    chosen = torch.where(target < 0, logits.argmax(dim=1).to(torch.int32), target)
    return (chosen[:, None] == classes).to(torch.float32)


class TracedHead(nn.Module):
    """`ExplainedHead` as a traced graph, which `torch.export` takes like any other module."""

    def __init__(self, head: Head, n_features: int, steps: int = DEFAULT_STEPS) -> None:
        """Trace a head; see `ExplainedHead`."""
        super().__init__()
        explained = ExplainedHead(head, steps)
        self._names = [name for name, _ in explained.named_parameters()]
        self._parameters_of = explained
        self.reads_image, self.reads_clinical = head.image is not None, head.clinical is not None

        def run(parameters: list[Tensor], pooled: Tensor, clinical: Tensor, target: Tensor) -> Any:
            given = dict(zip(self._names, parameters, strict=True))
            arguments = (
                pooled.detach().requires_grad_() if self.reads_image else None,
                clinical if self.reads_clinical else None,
                target,
            )
            return functional_call(explained, given, arguments)

        # The parameters are arguments: as constants inside the function they break tracing with symbolic shapes.
        examples = (
            [parameter.detach() for parameter in explained.parameters()],
            torch.randn(_TRACE_BATCH, 1 if head.image is None else head.image.channels),
            torch.randn(_TRACE_BATCH, n_features),
            torch.full((_TRACE_BATCH,), -1, dtype=torch.int32),
        )
        self._graph = make_fx(run, tracing_mode="symbolic")(*examples)

    def forward(
        self, pooled: Tensor | None, clinical: Tensor | None, target: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Compute what `ExplainedHead` computes."""
        given = dict(self._parameters_of.named_parameters())
        # The graph has a slot for both modalities; one that the head does not read is never looked at.
        filler = target.to(torch.float32)[:, None]
        result: tuple[Tensor, Tensor | None, Tensor | None] = self._graph(
            [given[name] for name in self._names],
            filler if pooled is None else pooled,
            filler if clinical is None else clinical,
            target,
        )
        return result


def heatmap(feature_map: Tensor, gradient: Tensor) -> Tensor:
    """Grad-CAM: ReLU of the weighted sum of the channels, scaled to [0, 1]; float32 [B, C, h, w] to [B, h, w].

    :param gradient: of the score with respect to the map, summed over its cells, float32 [B, C].
    """
    height, width = feature_map.shape[2:]
    weights = gradient / (height * width)
    weighted = torch.bmm(weights[:, None, :], feature_map.flatten(2))
    return _scale(torch.relu(weighted).reshape(-1, height, width), (1, 2))


def relevance(attribution: Tensor) -> Tensor:
    """Absolute attributions scaled to [0, 1] (section 4.5.3); float32 [B, F] to [B, F]."""
    return _scale(attribution.abs(), (1,))


def _scale(values: Tensor, dims: tuple[int, ...]) -> Tensor:
    return values / values.amax(dim=dims, keepdim=True).clamp_min(_SMALLEST_SCALE)
