"""Class-balanced epochs and the batches of one data set that lives in one array (paper, section 3.2.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dermedge.config import TrainConfig
from dermedge.data.cache.pixel_cache import load_pixels
from dermedge.data.samples import Sample
from dermedge.models.fusion import modalities
from dermedge.models.preparation.preparation import Preparation
from dermedge_runtime.inputs.clinical import ClinicalSchema


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of B photographs on one device."""

    image: Tensor | None
    """float32 [B, 3, H, W] in [0, 1], channels-last in memory; None where no picture is read."""
    numeric: Tensor
    """float32 [B, Nn]; NaN = unknown."""
    categorical: Tensor
    """int32 [B, Nc]; -1 = unknown."""
    label: Tensor
    """int64 [B]."""
    features: Tensor | None = None
    """float32 [B, C], the pictures' pooled features, where they were computed before; there is no `image` then."""
    mask: Tensor | None = None
    """float32 [B, 1, M, M], 1 on the lesion; None where no masks were asked for."""

    @property
    def visual(self) -> Tensor | None:
        """What a network is given of the pictures: their features, else the pictures; None where it reads neither."""
        return self.image if self.features is None else self.features


@dataclass(frozen=True, slots=True)
class LesionData:
    """One part of a data set, ready to be drawn from."""

    pixels: NDArray[np.uint8] | None
    """uint8 [N, H, W, 3], usually memory-mapped; None where no picture is read."""
    numeric: NDArray[np.float32]
    categorical: NDArray[np.int32]
    labels: NDArray[np.int64]
    resident: Tensor | None = field(default=None, kw_only=True)
    """`pixels` on the training's device, where they fit (`cache.on_gpu`); then batches are drawn from there."""
    masks: NDArray[np.bool_] | None = field(default=None, kw_only=True)
    """bool [N, M, M], True on the lesion; None where no masks were asked for."""

    @classmethod
    def load(cls, samples: Sequence[Sample], schema: ClinicalSchema, config: TrainConfig) -> LesionData:
        """Decode (or find decoded) the pictures of `samples`, if any are read; encode their clinical values.

        :raises InputRejected: a picture that cannot be read.
        """
        known = [{name: s.clinical[name] for name in schema.names if name in s.clinical} for s in samples]
        numeric, categorical = schema.encode(known)
        labels = np.array([sample.label for sample in samples], dtype=np.int64)
        pixels = None
        if modalities(config.fusion).image and not config.on_embeddings:
            paths = [sample.path for sample in samples]
            pixels = load_pixels(paths, config.image_size, config.resample, config.jpeg_detail)
        return cls(pixels, numeric, categorical, labels)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: NDArray[np.int64], size: int, device: torch.device) -> Iterator[Batch]:
        """Give the photographs `order`, `size` at a time; the last batch may be smaller."""
        for start in range(0, len(order), size):
            picked = order[start : start + size]
            yield Batch(
                image=self._images(picked, device),
                numeric=torch.from_numpy(self.numeric[picked]).to(device),
                categorical=torch.from_numpy(self.categorical[picked]).to(device),
                label=torch.from_numpy(self.labels[picked]).to(device),
                mask=None if self.masks is None else torch.from_numpy(self.masks[picked, None]).to(device).float(),
            )

    def _images(self, picked: NDArray[np.int64], device: torch.device) -> Tensor | None:
        if self.resident is not None:
            raw = self.resident[torch.from_numpy(picked).to(device)]
        elif self.pixels is not None:
            raw = torch.from_numpy(self.pixels[picked]).to(device, non_blocking=True)
        else:
            return None
        # [B, H, W, 3] in memory is [B, 3, H, W] in the channels-last format: permuting copies nothing.
        return raw.permute(0, 3, 1, 2).to(torch.float32).div_(255)


def preparation_of(config: TrainConfig) -> Preparation:
    """Make what a run's pictures go through before the network, float32 [B, 3, H, W] to the same."""
    return Preparation(
        hair_removal=config.hair_removal,
        colour_constancy=config.colour_constancy,
        contrast=config.contrast,
        light_estimate=config.light_estimate,
    )


def balanced_epoch(
    labels: NDArray[np.int64], per_class: int, rng: np.random.Generator, balance: float = 1.0
) -> NDArray[np.int64]:
    """Draw `per_class` photographs of every class present, on average over the classes, shuffled.

    A class with more than its draws is undersampled without repetition; one with fewer is repeated whole, then topped
    up.

    :param balance: 1 draws every class alike; less draws it in proportion to its frequency to the power 1 - balance.
    :return: int64 indices [classes * per_class], but for rounding where `balance` is not 1.
    """
    present, counts = np.unique(labels, return_counts=True)
    shares = counts ** (1.0 - balance)
    draws = np.maximum(1, np.rint(per_class * len(present) * shares / shares.sum())).astype(int)
    drawn: list[NDArray[np.int64]] = []
    for label, count in zip(present, draws, strict=True):
        own = np.flatnonzero(labels == label)
        repeats = -(-count // len(own))
        drawn.append(np.concatenate([rng.permutation(own) for _ in range(repeats)])[:count])
    return rng.permutation(np.concatenate(drawn))
