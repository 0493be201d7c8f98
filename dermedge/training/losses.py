"""The training loss: the paper's cross-entropy, and what helps against the imbalance of the classes (section 3.6.2).

Everything but the plain cross-entropy is off by default.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


class ClassificationLoss(nn.Module):
    """Cross-entropy of class scores with optional class weights, focus, label smoothing and logit adjustment."""

    def __init__(
        self,
        counts: NDArray[np.int64],
        *,
        class_weights: float = 0.0,
        focal: float = 0.0,
        label_smoothing: float = 0.0,
        logit_adjustment: float = 0.0,
    ) -> None:
        """Prepare the loss.

        :param counts: int64 [classes], draws of each class in an epoch; 0 for a class without images.
        :param class_weights: weight of a class, its count to the power of minus this, scaled to a mean of 1 over the
            draws.
        :param focal: gamma of the focal loss, (1 - p)^gamma times the cross-entropy (Lin et al., ICCV 2017).
        :param label_smoothing: share of the target that is spread over all classes.
        :param logit_adjustment: tau; tau times the log of the classes' shares is added to the scores in training alone,
            so that the scores themselves judge as if all classes were as frequent (Menon et al., ICLR 2021).
        """
        super().__init__()
        self.focal, self.label_smoothing = focal, label_smoothing
        present = np.maximum(counts, 1).astype(np.float64)
        weights = present**-class_weights
        weights /= (weights * counts).sum() / max(1, int(counts.sum()))
        self.register_buffer("weights", torch.from_numpy(weights).float())
        shares = torch.from_numpy(present / present.sum()).float()
        self.register_buffer("offsets", logit_adjustment * shares.log())
        self.weights: Tensor
        self.offsets: Tensor

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Map float32 [B, classes] and int64 [B] to the mean loss, a scalar."""
        losses = functional.cross_entropy(
            logits + self.offsets, labels, label_smoothing=self.label_smoothing, reduction="none"
        )
        if self.focal:
            with_own = functional.log_softmax(logits + self.offsets, dim=1).gather(1, labels[:, None])[:, 0]
            losses = losses * (1 - with_own.exp()).pow(self.focal)
        return (losses * self.weights[labels]).mean()
