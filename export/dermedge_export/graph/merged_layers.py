"""Merge what is constant after training into the layers beside it: batch normalisation and the skip weights alpha
into the convolutions, batch normalisation of a fusion into its linear layers, the layers around a product fusion into
it (`large_products.merged_product`), which features are selected, and what stands for the average
patient into its weights.

All are exact up to rounding. Batch normalisation after a convolution or a linear layer is a scaling of its weights. A
residual unit computes F(x) + alpha * x where x comes straight from a batch normalisation; scaling that one by alpha and
dividing the first convolution of F by alpha gives the same sum without a multiplication.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from dermedge.models.branches.dermiresnet import ConvBlock, DermiResNet, ResidualUnit
from dermedge.models.classifier import FusedClassifier
from dermedge_export.large_products.merged_product import merge_product

_SMALLEST_ALPHA = 1e-2
"""Dividing by less would enlarge weights so far that rounding, above all to half precision, would show."""


def with_merged_layers(model: FusedClassifier) -> FusedClassifier:
    """Give a copy in evaluation mode that computes the same with fewer operations."""
    merged = copy.deepcopy(model).eval()
    for branch in merged.modules():  # alone, or beside another
        if isinstance(branch, DermiResNet):
            _merge_alpha(branch)
            _merge_normalisation(branch)
    _plain_pooling(merged)
    _merge_selection(merged)
    _merge_average(merged)
    _merge_after_linear(merged.head.fusion)
    merge_product(merged.head)
    return merged


class _Mean(nn.Module):
    """Mean of every channel, float [B, C, H, W] to float [B, C, 1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x.mean(dim=(2, 3), keepdim=True)


def _plain_pooling(model: nn.Module) -> None:
    """Write adaptive pooling to one pixel as a mean: torch's exporter makes gathers of it for a dynamic batch."""
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size in (1, (1, 1)):
                setattr(module, name, _Mean())


@torch.no_grad()
def _merge_selection(model: FusedClassifier) -> None:
    """Leave features that are not kept out by the weights that read them (`models.image_head`)."""
    image = model.head.image
    if image is None or image.kept is None:
        return
    first = image[0]
    assert isinstance(first, nn.Linear)
    first.weight.mul_(image.kept)
    image.kept = None


@torch.no_grad()
def _merge_average(model: FusedClassifier) -> None:
    """Compute once what stands for the average patient (`models.average_patient`)."""
    if model.head.clinical is None:
        return
    first = model.head.clinical[0]
    assert isinstance(first, nn.Linear)
    # A layer of its own: torch's removal of a parametrisation changes the class that copies of a layer share.
    plain = nn.Linear(first.in_features, first.out_features)
    plain.weight.copy_(first.weight)
    plain.bias.copy_(first.bias)
    model.head.clinical[0] = plain


def _merge_after_linear(fusion: nn.Module) -> None:
    """Merge a batch normalisation into the linear layer before it; its gradient has no counterpart in ONNX."""
    for module in list(fusion.modules()):
        if not isinstance(module, nn.Sequential) or len(module) != 2:
            continue
        linear, norm = module
        if isinstance(linear, nn.Linear) and isinstance(norm, nn.BatchNorm1d):
            module[0], module[1] = fuse_linear_bn_eval(linear, norm), nn.Identity()


@torch.no_grad()
def _merge_alpha(trunk: DermiResNet) -> None:
    for block, unit in zip(trunk.stages[0::2], trunk.stages[1::2], strict=True):
        assert isinstance(block, ConvBlock) and isinstance(unit, ResidualUnit)
        alpha = unit.alpha.clone()
        if alpha.abs() < _SMALLEST_ALPHA:
            continue
        block.norm.weight.mul_(alpha)
        block.norm.bias.mul_(alpha)
        unit.conv1.weight.div_(alpha)
        unit.alpha.fill_(1)


def _merge_normalisation(trunk: DermiResNet) -> None:
    _merge_pair(trunk, "conv1", "norm1")
    for module in trunk.stages:
        if isinstance(module, ConvBlock):
            _merge_pair(module, "conv2", "norm")
        else:
            _merge_pair(module, "conv1", "norm1")
            _merge_pair(module, "conv2", "norm2")


def _merge_pair(parent: nn.Module, convolution: str, normalisation: str) -> None:
    conv, norm = getattr(parent, convolution), getattr(parent, normalisation)
    setattr(parent, convolution, fuse_conv_bn_eval(conv, norm))
    setattr(parent, normalisation, nn.Identity())
