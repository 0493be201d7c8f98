"""Generalised-mean pooling: between the average and the maximum of a channel, as far as training finds best (GeM;
Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", IEEE TPAMI 2019; arXiv
1711.02512; on dermatoscopic pictures: Wang et al., 2023).

Of a channel A with Z cells, g = (sum of A^p / Z)^(1/p). p = 1 is the average, a large p nearly the maximum. Grad-CAM
needs dy/dA, and dg/dA_ij = (A_ij / g)^(p - 1) / Z. Not covered: negative cells, which count as nothing, as after a
rectifier.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

START = 3.0
"""p of an untrained network, as in the paper."""
_SMALLEST = 1e-6
_CELLS = (2, 3)


class GeneralisedMean(nn.Module):
    """One p for all channels; it learns, and is at least 1. Computed in float32 whatever the precision of the map."""

    def __init__(self) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(START))

    def forward(self, feature_map: Tensor) -> Tensor:
        """Map float [B, C, h, w] to float32 [B, C]."""
        cells = _positive(feature_map)
        # Powers of shares of the largest cell: a power of the cell itself may be too small for a float.
        largest = cells.detach().amax(dim=_CELLS, keepdim=True)
        power = self._exponent()
        shares: Tensor = (cells / largest).pow(power).mean(dim=_CELLS).pow(1 / power)
        return shares * largest.flatten(1)

    def summed_slope(self, feature_map: Tensor) -> Tensor:
        """Sum over all cells of what a pooled value changes by per change of a cell; the average's is 1.

        :param feature_map: float [B, C, h, w].
        :return: float32 [B, C].
        """
        cells = _positive(feature_map)
        pooled: Tensor = self(feature_map)
        slopes = (cells / pooled[:, :, None, None]).pow(self._exponent() - 1)
        return (slopes * (feature_map > _SMALLEST).to(torch.float32)).mean(dim=_CELLS)

    def _exponent(self) -> Tensor:
        return self.p.clamp(min=1)


def _positive(feature_map: Tensor) -> Tensor:
    return feature_map.float().clamp(min=_SMALLEST)
