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

from collections.abc import Callable, Sequence
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
        pooled = None if pooled is None else pooled.detach().requires_grad_()
        logits, given = self.score(pooled, clinical)
        chosen = one_hot(logits, target)
        gradient = None if pooled is None else gradient_of(logits, pooled, chosen)
        if clinical is None:
            return logits, gradient, None
        assert given is not None
        path, hidden = self.along_path(given, clinical)
        return logits, gradient, self.integrate(clinical, path, hidden, self.slopes(chosen)[:, None, :])

    def score(self, pooled: Tensor | None, clinical: Tensor | None) -> tuple[Tensor, GivenImage | None]:
        """Score, and hold the image fixed; parameters as for `forward`.

        :return: logits float32 [B, classes], and the function of `Head.given_image`; None where no value is read.
        """
        if clinical is None:
            logits: Tensor = self.head(pooled, None)
            return logits, None
        given = self.head.given_image(pooled)
        assert self.head.clinical is not None
        return self.head.scores(given(self.head.clinical(clinical)[:, None, :]).flatten(0, 1)), given

    def along_path(self, given: GivenImage, clinical: Tensor) -> tuple[Tensor, Tensor]:
        """Go from the zero baseline to the values, in the middle of every step.

        :return: what the first clinical layer gives, float32 [B * S, 128], which the gradients are taken of; and the
            hidden layer that comes of it, float32 [B, S, 256], before its activation.
        """
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
        return path, given(y.reshape(batch, self.steps, -1))

    def integrate(self, clinical: Tensor, path: Tensor, hidden: Tensor, slopes: Tensor) -> Tensor:
        """Give signed integrated gradients, float32 [B, F].

        :param path: with `hidden` what `along_path` gives.
        :param slopes: d score / d the activated hidden layer, float32 [B, S, 256], or [B, 1, 256] where it is the same
            at every step.
        """
        assert self.head.clinical is not None
        first = self.head.clinical[0]
        assert isinstance(first, nn.Linear)
        batch = clinical.shape[0]
        # A product with where the ReLU is open, because the select that its traced gradient would be is several times
        # dearer on a CPU.
        open_slopes = (hidden > 0).to(torch.float32) * slopes
        (gradients,) = torch.autograd.grad(hidden, path, open_slopes)
        # The first layer is linear: the mean over the steps may as well be taken before its gradient, on one row.
        mean = gradients.reshape(batch, self.steps, -1).mean(dim=1) @ first.weight
        attribution: Tensor = clinical * mean
        return attribution

    def slopes(self, directions: Tensor) -> Tensor:
        """Map d score / d logits, float32 [N, classes], to d score / d the activated hidden layer, float32 [N, 256]."""
        last = self.head.classifier[-1]
        assert isinstance(last, nn.Linear)
        return directions @ last.weight


def gradient_of(logits: Tensor, pooled: Tensor, chosen: Tensor) -> Tensor:
    """Give the gradient of the chosen logits, float32 [B, C]; the way to them can be gone again."""
    (gradient,) = torch.autograd.grad(logits, pooled, chosen, retain_graph=True)
    return gradient


def one_hot(logits: Tensor, target: Tensor) -> Tensor:
    """Give float32 [B, classes], 1 at the class to explain; parameters as `ExplainedHead` has them."""
    classes = torch.arange(logits.shape[1], dtype=torch.int32, device=logits.device)
    chosen = torch.where(target < 0, logits.argmax(dim=1).to(torch.int32), target)
    return (chosen[:, None] == classes).to(torch.float32)


class Traced(nn.Module):
    """A module with gradients inside it, as a graph of forward operations."""

    def __init__(
        self, explained: nn.Module, arguments: Callable[..., tuple[Any, ...]], features: Sequence[int]
    ) -> None:
        """Trace a module.

        :param arguments: gives those of the module from tensors float32 [B, ...], and the target int32 [B] at last.
        :param features: second dimension of each of these tensors.
        """
        super().__init__()
        self._names = [name for name, _ in explained.named_parameters()]
        self._parameters_of = explained

        def run(parameters: list[Tensor], *tensors: Tensor) -> Any:
            return functional_call(explained, dict(zip(self._names, parameters, strict=True)), arguments(*tensors))

        # The parameters are arguments: as constants inside the function they break tracing with symbolic shapes.
        examples = (
            [parameter.detach() for parameter in explained.parameters()],
            *(torch.randn(_TRACE_BATCH, count) for count in features),
            torch.full((_TRACE_BATCH,), -1, dtype=torch.int32),
        )
        self._graph = make_fx(run, tracing_mode="symbolic")(*examples)

    def forward(self, *tensors: Tensor) -> Any:
        """Compute what the module computes, from what `arguments` takes."""
        given = dict(self._parameters_of.named_parameters())
        return self._graph([given[name] for name in self._names], *tensors)


class TracedHead(nn.Module):
    """`ExplainedHead` as a traced graph, which `torch.export` takes like any other module."""

    def __init__(self, head: Head, n_features: int, steps: int = DEFAULT_STEPS) -> None:
        """Trace a head; see `ExplainedHead`."""
        super().__init__()
        explained = ExplainedHead(head, steps)
        reads_image, reads_clinical = head.image is not None, head.clinical is not None

        def arguments(pooled: Tensor, clinical: Tensor, target: Tensor) -> tuple[Tensor | None, ...]:
            return pooled if reads_image else None, clinical if reads_clinical else None, target

        channels = 1 if head.image is None else head.image.channels
        self._traced = Traced(explained, arguments, (channels, n_features))

    def forward(
        self, pooled: Tensor | None, clinical: Tensor | None, target: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Compute what `ExplainedHead` computes."""
        # The graph has a slot for both modalities; one that the head does not read is never looked at.
        filler = target.to(torch.float32)[:, None]
        result: tuple[Tensor, Tensor | None, Tensor | None] = self._traced(
            filler if pooled is None else pooled, filler if clinical is None else clinical, target
        )
        return result


def heatmap(feature_map: Tensor, gradient: Tensor) -> Tensor:
    """Grad-CAM: ReLU of the weighted sum of the channels, scaled to [0, 1]; float32 [B, C, h, w] to [B, h, w].

    :param gradient: of the score with respect to the map, summed over its cells, float32 [B, C].
    """
    height, width = feature_map.shape[2:]
    weights = gradient / (height * width)
    weighted = torch.bmm(weights[:, None, :], feature_map.flatten(2))
    return scaled_to_one(torch.relu(weighted).reshape(-1, height, width), (1, 2))


def relevance(attribution: Tensor) -> Tensor:
    """Absolute attributions scaled to [0, 1] (section 4.5.3); float32 [B, F] to [B, F]."""
    return scaled_to_one(attribution.abs(), (1,))


def scaled_to_one(values: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Divide values of at least 0 by the largest along some dimensions; zeros stay zeros."""
    return values / values.amax(dim=dims, keepdim=True).clamp_min(_SMALLEST_SCALE)
