"""An ensemble and its explanations as one graph: what `to_onnx` and `explain_graph` do for a single network.

With p_m the probabilities of member m, already calibrated, the score of class c is s_c = log(mean of p_mc).

- The heat map is the mean of the Grad-CAM maps of the members that read the picture, each as its own file would have
  it: of its own score of the class, scaled to [0, 1]. They are brought to the finest of their grids, bilinearly, and
  weighted by p_mc: a member that does not see the class says nothing about where it is. The gradient of s_c would
  vanish where all are sure.
- Integrated gradients are those of s_c itself, so that attributions still add up to what the values change of it, from
  the zero baseline to the patient. Along the path every member's share of s_c is what it is there.

The scores pass through a linear layer that changes nothing: calibration sets its weights, as those of a network's last
layer (`decision.last_layer`), and with them both what the softmax gets and what is explained.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from dermedge.models.classifier import FusedClassifier, Head
from dermedge.models.ensemble import Ensemble, mean_scores, probabilities_of
from dermedge.models.resizing import Resizing

from .explain_graph import ExplainedHead, Traced, gradient_of, heatmap, one_hot, relevance, scaled_to_one
from .ig_steps import DEFAULT_STEPS
from .layers import FEATURE_MAP
from .merged_layers import with_merged_layers

_LAST_BIAS = "scores.bias"
_Answer = tuple[Tensor, list[Tensor], Tensor | None, Tensor | None]
"""Scores float32 [B, classes]; of every member that reads the picture d score / d pooled, float32 [B, C]; their weights
float32 [B, members], None where it is one; and signed integrated gradients float32 [B, F], None where none reads
clinical values."""


class ExplainedEnsemble(nn.Module):
    """The heads of an ensemble, with the gradients of its scores."""

    def __init__(self, heads: Sequence[Head], n_classes: int, steps: int = DEFAULT_STEPS) -> None:
        """Take heads.

        :param steps: of the integrated gradients, see `ig_steps`.
        """
        super().__init__()
        self.heads = nn.ModuleList(ExplainedHead(head, steps) for head in heads)
        self.last = unchanging(n_classes)

    def forward(self, pooled: Sequence[Tensor], clinical: Tensor | None, target: Tensor) -> _Answer:
        """Score and differentiate.

        :param pooled: float32 [B, C] of every member that reads the picture.
        :param clinical: float32 [B, F], encoded; None where none reads clinical values.
        :param target: int32 [B], the class to explain; -1 for the predicted one.
        """
        heads: list[Any] = list(self.heads)
        waiting = iter([each.detach().requires_grad_() for each in pooled])
        seen = [None if each.head.image is None else next(waiting) for each in heads]
        told = [None if each.head.clinical is None else clinical for each in heads]
        scored = [each.score(x, e) for each, x, e in zip(heads, seen, told, strict=True)]
        probabilities = [probabilities_of(logits) for logits, _ in scored]
        scores = self.last(mean_scores(probabilities))
        chosen = one_hot(scores, target)
        gradients, weights = list[Tensor](), list[Tensor]()
        for x, (logits, _), own in zip(seen, scored, probabilities, strict=True):
            if x is not None:
                gradients.append(gradient_of(logits, x, chosen))
                weights.append((own * chosen).sum(dim=1))
        shares = torch.stack(weights, dim=1) if len(weights) > 1 else None
        if clinical is None:
            return scores, gradients, shares, None
        return scores, gradients, shares, self._integrate(heads, scored, clinical, chosen)

    def _integrate(
        self, heads: Sequence[ExplainedHead], scored: Sequence[tuple[Tensor, Any]], clinical: Tensor, chosen: Tensor
    ) -> Tensor:
        paths = [
            None if given is None else head.along_path(given, clinical)
            for head, (_, given) in zip(heads, scored, strict=True)
        ]
        along = []
        for head, (logits, _), path in zip(heads, scored, paths, strict=True):
            if path is None:  # one that reads no values says the same all along the path
                along.append(probabilities_of(logits.detach())[:, None, :])
                continue
            hidden = path[1].detach()
            batch, steps, _ = hidden.shape
            along.append(probabilities_of(head.head.scores(hidden.flatten(0, 1))).reshape(batch, steps, -1))
        total = along[0]
        for each in along[1:]:
            total = total + each
        wanted = (chosen @ self.last.weight)[:, None, :]  # d chosen score / d s, the same at every step
        found: Tensor | None = None
        for head, own, path in zip(heads, along, paths, strict=True):
            if path is None:
                continue
            # d s_k / d z_j = (p_k / total_k) (1[j = k] - p_j), z the member's scores.
            part = wanted * (own / total)
            directions = part - own * part.sum(dim=2, keepdim=True)
            batch, steps, classes = directions.shape
            slopes = head.slopes(directions.reshape(-1, classes)).reshape(batch, steps, -1)
            attribution = head.integrate(clinical, *path, slopes)
            found = attribution if found is None else found + attribution
        assert found is not None
        return found


def unchanging(n_classes: int) -> nn.Linear:
    """Make the layer that a calibration changes, as it is before: scores float32 [B, classes] to themselves."""
    layer = nn.Linear(n_classes, n_classes)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(n_classes))
        layer.bias.zero_()
    return layer


def with_bias(proto: onnx.ModelProto) -> None:
    """Give `unchanging` its bias back, in place: the exporter leaves out one of zeros, and a calibration adds to it."""
    producer = {output: node for node in proto.graph.node for output in node.output}
    last = producer[producer["probabilities"].input[0]]
    assert last.op_type == "Gemm", last.op_type
    if len(last.input) == 2:
        (rows,) = (tensor.dims[0] for tensor in proto.graph.initializer if tensor.name == last.input[1])
        proto.graph.initializer.append(numpy_helper.from_array(np.zeros(rows, np.float32), _LAST_BIAS))
        last.input.append(_LAST_BIAS)


class TracedEnsemble(nn.Module):
    """`ExplainedEnsemble` as a traced graph, which `torch.export` takes like any other module."""

    def __init__(self, explained: ExplainedEnsemble, channels: Sequence[int], n_features: int) -> None:
        """Trace heads.

        :param channels: of the feature map of every member that reads the picture.
        :param n_features: length of the encoded clinical vector; 0 where none is read.
        """
        super().__init__()

        def arguments(*tensors: Tensor) -> tuple[Any, ...]:
            count = len(channels)
            return tensors[:count], tensors[count] if n_features else None, tensors[-1]

        self._traced = Traced(explained, arguments, (*channels, n_features) if n_features else channels)

    def forward(self, pooled: Sequence[Tensor], clinical: Tensor | None, target: Tensor) -> _Answer:
        """Compute what `ExplainedEnsemble` computes."""
        answer: _Answer = self._traced(*pooled, *(() if clinical is None else (clinical,)), target)
        return answer


class EnsembleContract(nn.Module):
    """An ensemble behind the inputs and outputs of a model file; see `to_onnx.ContractModule`."""

    def __init__(
        self, ensemble: Ensemble, *, explain: bool, ig_steps: int = DEFAULT_STEPS, traced: bool = True
    ) -> None:
        """Prepare an ensemble.

        :param traced: with merged layers and traced gradients, for `torch.export`; otherwise as it was trained.
        """
        super().__init__()
        self.model = copy.deepcopy(ensemble)
        if traced:
            for part in self.model.parts:
                part.network = with_merged_layers(part.network)
        self.ends = tuple(
            f"{FEATURE_MAP}_{index}" for index, each in enumerate(self.model.networks) if each.trunk is not None
        )
        sides = [_side(part.network, part.shrinking.target) for part in self.model.parts]
        self.enlarging = nn.ModuleList(Resizing(side, max(sides)) for side in sides if side)
        classes = self.model.networks[0].head.n_classes
        explained = ExplainedEnsemble([each.head for each in self.model.networks], classes, ig_steps)
        self.last = explained.last
        self.explained: nn.Module | None = explained if explain else None
        if explain and traced:
            channels = [each.head.image.channels for each in self.model.networks if each.head.image is not None]
            encoder = ensemble.encoder
            n_features = 0 if encoder is None else len(encoder.schema.features)
            self.explained = TracedEnsemble(explained, channels, n_features)

    def forward(
        self,
        image: Tensor | None = None,
        numeric: Tensor | None = None,
        categorical: Tensor | None = None,
        target: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Map the inputs to the outputs by name, and at last the end of every image branch, which is no output."""
        reading = [each for each in self.model.networks if each.trunk is not None]
        seen = self._seen(image)
        maps = [network.attended(each) for network, each in zip(reading, seen, strict=True)]
        pooled = [network.pooled(each) for network, each in zip(reading, maps, strict=True)]
        ends = dict(zip(self.ends, seen, strict=True))
        encoder = self.model.encoder
        clinical = None if encoder is None else encoder(numeric, categorical)
        if self.explained is None:
            waiting = iter(pooled)
            logits = [
                each.head(None if each.trunk is None else next(waiting), None if each.encoder is None else clinical)
                for each in self.model.networks
            ]
            scores = self.last(mean_scores([probabilities_of(each) for each in logits]))
            return {"probabilities": torch.softmax(scores, dim=1), **ends}
        scores, gradients, shares, attribution = self.explained(pooled, clinical, target)
        outputs = {"probabilities": torch.softmax(scores, dim=1)}
        if maps and self.model.has_heatmap:
            own = [
                heatmap(each, network.summed_gradient(each, gradient))
                for network, each, gradient in zip(reading, maps, gradients, strict=True)
            ]
            outputs["heatmap"] = self._mean_heatmap(own, shares)
        if attribution is not None:
            outputs |= {"relevance": relevance(attribution), "attribution": attribution}
        return outputs | ends

    def _seen(self, image: Tensor | None) -> list[Tensor]:
        """Give the feature map of every image branch."""
        if not self.ends:
            return []
        assert image is not None
        # The cast comes first: TensorRT refuses to transpose uint8.
        scaled = image.to(torch.float32).permute(0, 3, 1, 2) / 255
        maps = []
        for part in self.model.parts:
            if part.network.trunk is not None:
                maps.append(part.network.last_map(part.network.prepare(part.shrinking(scaled))))
        return maps

    def _mean_heatmap(self, maps: Sequence[Tensor], shares: Tensor | None) -> Tensor:
        """Average maps float32 [B, h, w], weighted by float32 [B, members], and scale them to [0, 1]."""
        if shares is None:
            return maps[0]
        shares = scaled_to_one(shares, (1,))  # a class that none sees has weights too small to multiply with
        total: Tensor | None = None
        for index, (each, enlarge) in enumerate(zip(maps, self.enlarging, strict=True)):
            weighted = enlarge(each) * shares[:, index, None, None]
            total = weighted if total is None else total + weighted
        assert total is not None
        return scaled_to_one(total, (1, 2))


@torch.no_grad()
def _side(network: FusedClassifier, size: int) -> int:
    """Height and width of a network's last feature map; 0 where it reads no picture."""
    return 0 if network.trunk is None else int(network.feature_map(torch.zeros(1, 3, size, size)).shape[-1])
