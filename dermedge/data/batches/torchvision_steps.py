"""Augmentations that torchvision has, drawn for every picture alone: TrivialAugment and random erasing.

TrivialAugmentWide (Müller and Hutter, ICCV 2021) does one random change of random strength to each picture: it shears,
moves, turns, or changes colour, contrast, sharpness or the number of tones. What comes in from outside the picture is
black. It works on uint8, one picture at a time.

Random erasing (Zhong et al., AAAI 2020) paints a rectangle of 2 to 33 % of the picture over, in the mean colour of
ImageNet, which is about what a pretrained image branch takes for nothing.

All draws are from torch's default generator of the CPU. Neither is in the paper.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from dermedge.config import Augmentation
from dermedge.require import extras

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Red, green and blue, of 0 to 1; torchvision's documentation gives them."""


def check_steps(settings: Augmentation) -> None:
    """See that the package is there which the settings need.

    :raises DermedgeError: torchvision is not installed.
    """
    if settings.trivial_augment or settings.random_erasing:
        _transforms()


def trivially_augmented(images: Tensor) -> Tensor:
    """Change every picture of float [B, 3, H, W] in [0, 1] by TrivialAugmentWide; same shape, rounded to 256 levels."""
    transforms = _transforms()
    change = transforms.TrivialAugmentWide(interpolation=transforms.InterpolationMode.BILINEAR)
    return _each(change, images.mul(255).round_().to(torch.uint8)).to(images.dtype).div_(255)


def partly_erased(images: Tensor, probability: float) -> Tensor:
    """Erase a rectangle of each picture of float [B, 3, H, W] in [0, 1] with this probability; same shape."""
    return _each(_transforms().RandomErasing(probability, value=list(_IMAGENET_MEAN)), images)


def _each(change: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    return torch.stack([change(image) for image in images])


def _transforms() -> Any:
    with extras("pretrained"):
        from torchvision.transforms import v2
    return v2
