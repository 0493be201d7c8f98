"""What a network says of a whole data set, as it is."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from dermedge.data.batches.lesion_data import LesionData
from dermedge.models.autocast import autocast
from dermedge.progress import progress

_BATCH = 128


@torch.no_grad()
def predict_logits(
    model: nn.Module,
    data: LesionData,
    device: torch.device,
    precision: str = "fp32",
) -> Tensor:
    """Class scores of a whole data set without augmentation, float32 [N, classes] on the CPU.

    :param model: maps what a batch shows, numeric and categorical values to scores, such as a `PatientClassifier`.
    :param precision: fp32, bf16 or fp16, of the computation.
    """
    model.eval()
    order = np.arange(len(data))
    scores = []
    batches = data.batches(order, _BATCH, device)
    for batch in progress(batches, "validate", total=math.ceil(len(data) / _BATCH)):
        with autocast(precision, device):
            scores.append(model(batch.visual, batch.numeric, batch.categorical).float().cpu())
    return torch.cat(scores)
