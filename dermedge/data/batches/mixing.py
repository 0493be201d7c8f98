"""Mixing of pairs within a batch: mixup and cutmix; not in the paper.

Rare classes have few lesions, and drawing them often makes a network learn them by heart; of mixtures it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mixed:
    """A batch in which every patient may hold a part of another."""

    visual: Tensor | None
    """Pictures float [B, 3, H, W] or features float [B, C]; None where no picture is read."""
    clinical: Tensor | None
    """Encoded values, float [B, F]; None where none are read."""
    partner: Tensor | None = None
    """int64 [B], whose part it is; None where nothing was mixed."""
    share: float = 1.0
    """Of the original, 0 to 1."""


def mix(visual: Tensor | None, clinical: Tensor | None, mixup: float, cutmix: float) -> Mixed:
    """Mix every patient with another of the batch, the same share for all.

    :param visual: pictures float [B, 3, H, W] in [0, 1], or features float [B, C]; None where no picture is read.
    :param clinical: encoded values float [B, F]; None where none are read.
    :param mixup: parameter of the symmetric Beta distribution that the share is drawn from (Zhang et al., ICLR 2018); 0
        is off.
    :param cutmix: the same for a pasted rectangle (Yun et al., ICCV 2019); the clinical values are mixed by its share.
        With both, a coin decides; where no picture is read it is off, and features cannot be pasted.
    """
    if visual is None:
        cutmix = 0.0
    if not (mixup or cutmix):
        return Mixed(visual, clinical)
    some = visual if visual is not None else clinical
    assert some is not None
    paste = cutmix > 0 and (not mixup or float(torch.rand(())) < 0.5)
    concentration = cutmix if paste else mixup
    share = float(torch.distributions.Beta(concentration, concentration).sample())
    partner = torch.randperm(some.shape[0], device=some.device)
    if visual is not None:
        if paste:
            visual, share = _paste(visual, partner, share)
        else:
            visual = torch.lerp(visual[partner], visual, share)
    return Mixed(visual, None if clinical is None else torch.lerp(clinical[partner], clinical, share), partner, share)


def _paste(image: Tensor, partner: Tensor, share: float) -> tuple[Tensor, float]:
    """Paste a rectangle of the partner's picture with about 1 - share of the area, in place."""
    height, width = image.shape[2:]
    tall, wide = round(height * (1 - share) ** 0.5), round(width * (1 - share) ** 0.5)
    top = int(torch.randint(0, height - tall + 1, ()))
    left = int(torch.randint(0, width - wide + 1, ()))
    rows, columns = slice(top, top + tall), slice(left, left + wide)
    image[:, :, rows, columns] = image[partner][:, :, rows, columns]
    return image, 1 - tall * wide / (height * width)
