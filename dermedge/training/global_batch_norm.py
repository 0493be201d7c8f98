"""Batch normalisation whose statistics are those of the whole batch, wherever its shares lie.

torch has a layer for that, `SyncBatchNorm`, which refuses CPU tensors; `GlobalBatchNorm` is its counterpart for them,
written to be exact and short, not fast. Parameters and buffers keep their names, so weights fit either kind.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist


def share_batch_statistics(model: nn.Module, device: torch.device) -> None:
    """Replace every batch normalisation below `model`, in place, keeping its very parameters and buffers."""
    for name, child in model.named_children():
        if not isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            share_batch_statistics(child, device)
        elif device.type == "cuda":
            setattr(model, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))  # type: ignore[no-untyped-call]
        else:
            setattr(model, name, GlobalBatchNorm.like(child))


class GlobalBatchNorm(nn.BatchNorm2d):
    """`BatchNorm2d` and `BatchNorm1d` over the shares of all processes, which must be of one size.

    In evaluation it is the plain one.
    """

    def __init__(self, *settings: Any) -> None:
        """:param settings: as the plain layer takes them."""
        super().__init__(*settings)
        # Here, not as a decorator: it imports torch's compiler, which takes seconds, and only several CPUs need it.
        self._sum_over_processes = torch.compiler.disable(_sum_over_processes)  # type: ignore[no-untyped-call]

    @classmethod
    def like(cls, plain: nn.BatchNorm1d | nn.BatchNorm2d) -> GlobalBatchNorm:
        """Take over a plain layer's settings, parameters and buffers."""
        made = cls(plain.num_features, plain.eps, plain.momentum, plain.affine, plain.track_running_stats)
        made._parameters, made._buffers, made.training = plain._parameters, plain._buffers, plain.training
        return made

    def forward(self, input: Tensor) -> Tensor:
        """Map float [B, C, H, W] or [B, C], this process's share, to the same shape and dtype."""
        if not self.training:
            plain: Tensor = super().forward(input)
            return plain
        values = input.float()
        own_var, own_mean = torch.var_mean(values, dim=(0, *range(2, values.dim())), correction=0)
        # In float64, where mean(x^2) - mean(x)^2 loses nothing that float32 holds.
        moments = torch.stack([own_mean.double(), own_var.double() + own_mean.double().square()])
        mean, square = self._sum_over_processes(moments).div(dist.get_world_size())
        var = square - mean.square()
        self._remember(mean.detach(), var.detach(), values.numel() // len(mean) * dist.get_world_size())
        scale = self.weight * torch.rsqrt(var + self.eps).float()
        offset = self.bias - mean.float() * scale
        shape = -1, *(1 for _ in range(2, values.dim()))
        normal: Tensor = values * scale.reshape(shape) + offset.reshape(shape)
        return normal.to(input.dtype)

    def _check_input_dim(self, input: Tensor) -> None:
        """Take both kinds' shapes; torch looks here in evaluation."""

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor, count: int) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None and self.momentum is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean.float(), self.momentum)
        self.running_var.lerp_((var * count / (count - 1)).float(), self.momentum)


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; the gradient of the sum of their losses."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(own: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(own)
    return total
