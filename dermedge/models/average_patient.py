"""What the first clinical layer makes of features that training says too little about: the average patient.

A feature that no training patient has would keep the random weights that it starts from, and one that a handful have
is learned from their chance: with HAM10000's few unknown values, which are nearly all of harmless lesions, patients
without any value lost 0.09 of balanced accuracy against the median and the mode, and melanoma's recall fell from 0.57
to between 0.08 and 0.19 (benchmarks/unknown_values.py). So such a feature of a vocabulary weighs what its words weigh
on average over the training patients; a number's, which has no words, weighs nothing, and the number stands at its
mean. Where enough patients are unknown, in the data or because training hides values, a weight of its own is added to
the average and learned.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dermedge_runtime.inputs.clinical import ClinicalSchema

LEAST_UNKNOWN = 0.05
"""Share of the training patients that must be unknown in a field for unknown to be learned."""


class AverageWeights(nn.Module):
    """Parametrisation of a linear layer: its weights, float [out, F], mixed by a constant matrix [F, F]."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mix", torch.eye(n_features))
        self.mix: Tensor

    def forward(self, weight: Tensor) -> Tensor:
        """Give the weights that the layer computes with."""
        return weight @ self.mix


def mixing_matrix(schema: ClinicalSchema, shares: Tensor, hidden: float) -> Tensor:
    """Say which features are learned and which stand for the average patient.

    :param schema: one to which unknown is a category of its own.
    :param shares: share of the training patients with each feature (anything but 0), float [F].
    :param hidden: probability that training hides a known value.
    :return: float32 [F, F]; a column for each feature, of its own weights and those of its vocabulary.
    """
    mix = torch.zeros(len(schema.features), len(schema.features))
    count = len(schema.numeric)
    for number in range(count):
        mix[number, number] = float(shares[number] > 0)
        mix[count + number, count + number] = float(_often(shares[count + number], hidden))
    start = 2 * count
    for field in schema.categorical:
        unknown = len(field.vocabulary) if field.unknown_word is None else field.unknown_word
        size = max(unknown + 1, len(field.vocabulary))
        of_words = shares[start : start + size].clone()
        own = of_words > 0
        own[unknown] = _often(of_words[unknown], hidden)
        of_words[unknown] = 0
        block = torch.diag(own.float())
        averaged = ~own
        averaged[unknown] = True
        block[:, averaged] += (of_words / of_words.sum().clamp_min(1e-12))[:, None]
        mix[start : start + size, start : start + size] = block
        start += size
    return mix


def _often(share: Tensor, hidden: float) -> bool:
    return 1 - (1 - float(share)) * (1 - hidden) >= LEAST_UNKNOWN
