"""Clinical branch: unknown values, scaling and one-hot encoding (paper, section 3.2.4), then the MLP (3.4.1, figure 3).

What is unknown is imputed with the median or the mode, as the section says, or it is a feature of its own, as table 8
lists them: `sex=unknown`, and beside a number, which then stands at its mean, `age=unknown`.

The encoder is a module with buffers, fitted on the training split only, so that it is exported into the graph and no
client of a model file can get it wrong.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dermedge_runtime.inputs.clinical import CATEGORY, UNKNOWN, UNKNOWN_CATEGORY, ClinicalSchema

from .average_patient import AverageWeights, mixing_matrix

CLINICAL_FEATURES = 256
_HIDDEN = 128


class ClinicalEncoder(nn.Module):
    """Raw clinical values to F encoded features, in the order of `ClinicalSchema.features`."""

    def __init__(self, schema: ClinicalSchema) -> None:
        super().__init__()
        self.schema = schema
        self.category = schema.unknown == CATEGORY
        self.sizes = tuple(len(field.vocabulary) for field in schema.categorical)
        unknown = [UNKNOWN_CATEGORY] * len(self.sizes)
        if self.category:
            # One column more for unknown, unless the vocabulary has that word.
            own = [field.unknown_word for field in schema.categorical]
            unknown = [size if word is None else word for size, word in zip(self.sizes, own, strict=True)]
            self.sizes = tuple(max(size, word + 1) for size, word in zip(self.sizes, unknown, strict=True))
        n_numeric = len(schema.numeric)
        self.register_buffer("median", torch.zeros(n_numeric))
        self.register_buffer("mean", torch.zeros(n_numeric))
        self.register_buffer("std", torch.ones(n_numeric))
        self.register_buffer("mode", torch.zeros(len(self.sizes), dtype=torch.int32))
        # Known from the schema, so not among the weights that are kept.
        self.register_buffer("unknown", torch.tensor(unknown, dtype=torch.int32), persistent=False)
        self.unknown: Tensor
        self.median: Tensor
        self.mean: Tensor
        self.std: Tensor
        self.mode: Tensor

    def fit(self, numeric: NDArray[np.float32], categorical: NDArray[np.int32]) -> None:
        """Learn medians, modes, means and standard deviations from the training split.

        :param numeric: float32 [N, Nn], NaN = unknown.
        :param categorical: int32 [N, Nc], -1 = unknown.
        """
        for column in range(numeric.shape[1]):
            known = numeric[~np.isnan(numeric[:, column]), column]
            median = float(np.median(known)) if len(known) else 0.0
            imputed = np.where(np.isnan(numeric[:, column]), median, numeric[:, column])
            counted = (known if self.category else imputed).astype(np.float64)
            self.median[column] = median
            self.mean[column] = float(counted.mean()) if len(counted) else 0.0
            self.std[column] = (float(counted.std()) if len(counted) else 0.0) or 1.0
        for column, size in enumerate(self.sizes):
            known_words = categorical[categorical[:, column] >= 0, column]
            self.mode[column] = int(np.bincount(known_words, minlength=size).argmax())

    def forward(self, numeric: Tensor | None, categorical: Tensor | None) -> Tensor:
        """Map float32 [B, Nn] and int32 [B, Nc] to float32 [B, F]; None for a kind of which the schema has no field."""
        parts = []
        if len(self.median):
            assert numeric is not None
            is_unknown = torch.isnan(numeric)
            filled = torch.where(is_unknown, self.mean if self.category else self.median, numeric)
            parts.append((filled - self.mean) / self.std)
            if self.category:
                parts.append(is_unknown.to(torch.float32))
        if self.sizes:
            assert categorical is not None
            chosen = torch.where(categorical < 0, self.unknown if self.category else self.mode, categorical)
            for column, size in enumerate(self.sizes):
                words = torch.arange(size, dtype=torch.int32, device=chosen.device)
                parts.append((chosen[:, column : column + 1] == words).to(torch.float32))
        return torch.cat(parts, dim=1)

    def imputed(self) -> dict[str, float | str]:
        """Give what an unknown value counts as, by field; nothing where it is a feature of its own."""
        if self.category:
            return {}
        numbers = {field.name: float(value) for field, value in zip(self.schema.numeric, self.median, strict=True)}
        words = {f.name: f.vocabulary[int(index)] for f, index in zip(self.schema.categorical, self.mode, strict=True)}
        return {**numbers, **words}

    def shares(self, numeric: NDArray[np.float32], categorical: NDArray[np.int32]) -> Tensor:
        """Give the share of these patients for whom a feature is anything but 0; float32 [F]."""
        encoded: Tensor = self(torch.from_numpy(numeric.copy()), torch.from_numpy(categorical.copy()))
        return (encoded != 0).float().mean(dim=0)


class ClinicalMLP(nn.Sequential):
    """FC 128, ReLU, FC 256 (figure 3): float [B, F] to float [B, 256]."""

    def __init__(self, schema: ClinicalSchema) -> None:
        n_features = len(schema.features)
        first = nn.Linear(n_features, _HIDDEN)
        if schema.unknown == CATEGORY:
            with torch.no_grad():
                first.weight[:, [name.partition("=")[2].lower() == UNKNOWN for name in schema.features]] = 0
            parametrize.register_parametrization(first, "weight", AverageWeights(n_features))
        super().__init__(first, nn.ReLU(), nn.Linear(_HIDDEN, CLINICAL_FEATURES))
        self.schema = schema

    @torch.no_grad()
    def fit(self, shares: Tensor, hidden: float, *, anew: bool) -> None:
        """Keep features that no training patient has, or too few, from being an answer made of noise.

        Where unknown is a category they stand for the average patient (`average_patient`), else for nothing.

        :param shares: of the training patients with each feature, float [F].
        :param hidden: probability that training hides a known value.
        :param anew: the weights are random ones, not an earlier training's.
        """
        first = self[0]
        assert isinstance(first, nn.Linear)
        if self.schema.unknown == CATEGORY:
            (average,) = (module for module in self.modules() if isinstance(module, AverageWeights))
            average.mix.copy_(mixing_matrix(self.schema, shares, hidden))
        elif anew:
            first.weight[:, shares == 0] = 0
