"""Augmentation of a whole batch in torch, on whatever device it lies (paper, section 3.2.2).

Covered: horizontal and vertical flips, rotation and scaling (one bilinear resampling with mirrored borders), pixel
noise, colour, and what torchvision adds (`torchvision_steps`); hiding of clinical values. Replication and undersampling
are the sampler's (`lesion_data.balanced_epoch`).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from dermedge.config import Augmentation

from .torchvision_steps import partly_erased, trivially_augmented


def augment(images: Tensor, settings: Augmentation) -> Tensor:
    """Augment float [B, 3, H, W] in [0, 1]; draws from torch's default generators.

    :return: same shape, clipped to [0, 1], channels-last in memory.
    """
    return changed(turned(images, drawn_turns(len(images), settings, images.device)), settings)


def turned(images: Tensor, turns: Tensor | None) -> Tensor:
    """Flip, rotate and scale float [B, C, H, W] as `drawn_turns` says; the same turns fit every size."""
    if turns is None:
        return images
    grid = functional.affine_grid(turns, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def changed(images: Tensor, settings: Augmentation) -> Tensor:
    """Augment float [B, 3, H, W] in all other ways; see `augment`."""
    if settings.trivial_augment:
        images = trivially_augmented(images)
    if settings.colour:
        images = _jitter_colour(images, settings.colour)
    if settings.noise:
        images = torch.randn_like(images).mul_(settings.noise).add_(images)
    images = images.clamp(0, 1)
    if settings.random_erasing:
        images = partly_erased(images, settings.random_erasing)
    # Resampling leaves the channels-last format, which the convolutions need for their speed.
    return images.contiguous(memory_format=torch.channels_last)


def _jitter_colour(images: Tensor, strength: float) -> Tensor:
    batch, device = images.shape[0], images.device
    draw = 1 + strength * (2 * torch.rand(5, batch, 1, 1, 1, device=device) - 1)
    brightness, contrast = draw[0], draw[1]
    gain = draw[2:].squeeze(2).transpose(0, 1).reshape(batch, 3, 1, 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return ((images - mean) * contrast + mean * brightness) * gain


def drawn_turns(batch: int, settings: Augmentation, device: torch.device) -> Tensor | None:
    """Draw flips, rotation and scaling of every picture, float32 [B, 2, 3]; None where none are asked for."""
    if not (settings.flips or settings.rotation_degrees or settings.scaling):
        return None
    angle = (2 * torch.rand(batch, device=device) - 1) * math.radians(settings.rotation_degrees)
    zoom = torch.exp((2 * torch.rand(batch, device=device) - 1) * math.log1p(settings.scaling))
    signs = (
        torch.randint(0, 2, (2, batch), device=device) * 2.0 - 1.0
        if settings.flips
        else torch.ones(2, batch, device=device)
    )
    cosine, sine, zero = zoom * angle.cos(), zoom * angle.sin(), torch.zeros_like(angle)
    rows = (cosine * signs[0], -sine * signs[1], zero, sine * signs[0], cosine * signs[1], zero)
    return torch.stack(rows, dim=1).view(batch, 2, 3)


def hide_clinical(
    numeric: Tensor, categorical: Tensor, probability: float, of_patient: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Make each known value of each patient unknown with this probability.

    A rare class has few patients, and age, sex and site together nearly name them: without this the network learns them
    by heart. It also meets in training the unknown values that it must live with in use.

    :param of_patient: probability that all values of a patient are hidden.
    :return: numeric with more NaN, categorical with more -1.
    """
    if of_patient:
        whole = torch.rand(len(numeric), 1, device=numeric.device) < of_patient
        numeric, categorical = numeric.masked_fill(whole, torch.nan), categorical.masked_fill(whole, -1)
    if not probability:
        return numeric, categorical
    hidden = torch.rand(numeric.shape, device=numeric.device) < probability
    hidden_words = torch.rand(categorical.shape, device=categorical.device) < probability
    return numeric.masked_fill(hidden, torch.nan), categorical.masked_fill(hidden_words, -1)
