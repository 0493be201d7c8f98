"""Clinical branch: imputation, scaling and one-hot encoding (paper, section 3.2.4), then the MLP (3.4.1, figure 3).

The encoder is a module with buffers, fitted on the training split only, so that it is exported into the graph and no
client of a model file can get it wrong.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dermedge_runtime.clinical import ClinicalSchema

CLINICAL_FEATURES = 256
_HIDDEN = 128


class ClinicalEncoder(nn.Module):
    """Raw clinical values to F encoded features, in the order of `ClinicalSchema.features`."""

    def __init__(self, schema: ClinicalSchema) -> None:
        super().__init__()
        self.sizes = tuple(len(field.vocabulary) for field in schema.categorical)
        n_numeric = len(schema.numeric)
        self.register_buffer("median", torch.zeros(n_numeric))
        self.register_buffer("mean", torch.zeros(n_numeric))
        self.register_buffer("std", torch.ones(n_numeric))
        self.register_buffer("mode", torch.zeros(len(self.sizes), dtype=torch.int32))
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
            filled = np.where(np.isnan(numeric[:, column]), median, numeric[:, column]).astype(np.float64)
            self.median[column] = median
            self.mean[column] = float(filled.mean())
            self.std[column] = float(filled.std()) or 1.0
        for column, size in enumerate(self.sizes):
            known_words = categorical[categorical[:, column] >= 0, column]
            self.mode[column] = int(np.bincount(known_words, minlength=size).argmax())

    def forward(self, numeric: Tensor | None, categorical: Tensor | None) -> Tensor:
        """Map float32 [B, Nn] and int32 [B, Nc] to float32 [B, F]; None for a kind of which the schema has no field."""
        parts = []
        if len(self.median):
            assert numeric is not None
            filled = torch.where(torch.isnan(numeric), self.median, numeric)
            parts.append((filled - self.mean) / self.std)
        if self.sizes:
            assert categorical is not None
            chosen = torch.where(categorical < 0, self.mode, categorical)
            for column, size in enumerate(self.sizes):
                words = torch.arange(size, dtype=torch.int32, device=chosen.device)
                parts.append((chosen[:, column : column + 1] == words).to(torch.float32))
        return torch.cat(parts, dim=1)


class ClinicalMLP(nn.Sequential):
    """FC 128, ReLU, FC 256 (figure 3): float [B, F] to float [B, 256]."""

    def __init__(self, n_features: int) -> None:
        super().__init__(nn.Linear(n_features, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, CLINICAL_FEATURES))
