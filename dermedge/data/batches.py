"""Class-balanced epochs and the batches of one data set that lives in one array (paper, section 3.2.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from dermedge_runtime.clinical import ClinicalSchema
from numpy.typing import NDArray
from torch import Tensor

from .ham10000 import Sample
from .pixel_cache import load_pixels


@dataclass(frozen=True, slots=True)
class Batch:
    """Tensors of B photographs on one device."""

    image: Tensor
    """float32 [B, 3, H, W] in [0, 1], channels-last in memory."""
    numeric: Tensor
    """float32 [B, Nn]; NaN = unknown."""
    categorical: Tensor
    """int32 [B, Nc]; -1 = unknown."""
    label: Tensor
    """int64 [B]."""


@dataclass(frozen=True, slots=True)
class LesionData:
    """One part of a data set, ready to be drawn from."""

    pixels: NDArray[np.uint8]
    """uint8 [N, H, W, 3], usually memory-mapped."""
    numeric: NDArray[np.float32]
    categorical: NDArray[np.int32]
    labels: NDArray[np.int64]

    @classmethod
    def load(cls, samples: Sequence[Sample], schema: ClinicalSchema, size: int, resample: str) -> LesionData:
        """Decode (or find decoded) the pictures of `samples` and encode their clinical values.

        :raises InputRejected: a picture that cannot be read.
        """
        known = [{name: s.clinical[name] for name in schema.names if name in s.clinical} for s in samples]
        numeric, categorical = schema.encode(known)
        labels = np.array([sample.label for sample in samples], dtype=np.int64)
        return cls(load_pixels([s.path for s in samples], size, resample), numeric, categorical, labels)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: NDArray[np.int64], size: int, device: torch.device) -> Iterator[Batch]:
        """Give the photographs `order`, `size` at a time; the last batch may be smaller."""
        for start in range(0, len(order), size):
            picked = order[start : start + size]
            raw = torch.from_numpy(self.pixels[picked]).to(device, non_blocking=True)
            # [B, H, W, 3] in memory is [B, 3, H, W] in the channels-last format: permuting copies nothing.
            yield Batch(
                image=raw.permute(0, 3, 1, 2).to(torch.float32).div_(255),
                numeric=torch.from_numpy(self.numeric[picked]).to(device),
                categorical=torch.from_numpy(self.categorical[picked]).to(device),
                label=torch.from_numpy(self.labels[picked]).to(device),
            )


def balanced_epoch(labels: NDArray[np.int64], per_class: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `per_class` photographs of every class present, shuffled.

    A class with more is undersampled without repetition; a class with fewer is repeated whole, then topped up.

    :return: int64 indices [classes * per_class].
    """
    drawn: list[NDArray[np.int64]] = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        repeats = -(-per_class // len(own))
        drawn.append(np.concatenate([rng.permutation(own) for _ in range(repeats)])[:per_class])
    return rng.permutation(np.concatenate(drawn))
