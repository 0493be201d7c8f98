"""What moves from step to step beside the weights: the learning rates, and the average of the weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from dermedge.config import TrainConfig

_TRUNK = "trunk."


def learning_rate_at(progress_epochs: float, config: TrainConfig) -> float:
    """Learning rate after `progress_epochs` epochs (a fraction counts the steps of an epoch)."""
    if config.schedule == "constant":
        return config.learning_rate
    warm_up = min(1.0, 0.02 + progress_epochs)
    return config.learning_rate * warm_up * 0.5 * (1 + math.cos(math.pi * progress_epochs / config.epochs))


def parameter_groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    """Give the optimiser's groups of weights, each with its `share` of the learning rate; the image branch first.

    One group where all learn alike, so that runs from before there were shares go on as they began.
    """
    branch = [weight for name, weight in model.named_parameters() if name.startswith(_TRUNK)]
    rest = [weight for name, weight in model.named_parameters() if not name.startswith(_TRUNK)]
    if not branch or config.image_branch_rate == 1:
        return [{"params": [*model.parameters()], "share": 1.0}]
    return [{"params": branch, "share": config.image_branch_rate}, {"params": rest, "share": 1.0}]


@torch.no_grad()
def update_average(average: dict[str, Tensor], model: nn.Module, decay: float) -> None:
    """Move averaged weights a step towards the model's; integer buffers are copied."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, 1 - decay)
        else:
            average[name].copy_(tensor)
