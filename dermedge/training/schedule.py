"""What moves from step to step beside the weights: the learning rate, and the average of the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dermedge.config import TrainConfig


def learning_rate_at(progress_epochs: float, config: TrainConfig) -> float:
    """Learning rate after `progress_epochs` epochs (a fraction counts the steps of an epoch)."""
    if config.schedule == "constant":
        return config.learning_rate
    warm_up = min(1.0, 0.02 + progress_epochs)
    return config.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * progress_epochs / config.epochs))


@torch.no_grad()
def update_average(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    """Move averaged weights a step towards the model's; integer buffers are copied."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, 1 - decay)
        else:
            average[name].copy_(tensor)
