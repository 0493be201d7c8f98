"""Pooled features of photographs under a trained image branch, computed once and kept as memory-mapped arrays.

View 0 is the photograph, prepared as the settings say; every further view is an augmented copy of it, drawn from a seed
of (seed of the split, view), so that a computation that was killed goes on with the views that are whole. Not covered:
features of the test split, which is always measured with the whole network.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dermedge.config import TrainConfig
from dermedge.data.batches.augment import augment
from dermedge.data.batches.lesion_data import Batch, LesionData, preparation_of
from dermedge.data.samples import Sample
from dermedge.models.autocast import autocast
from dermedge.models.classifier import FusedClassifier
from dermedge.progress import progress
from dermedge_runtime.inputs.clinical import ClinicalSchema

from .kept_arrays import kept_array
from .pixel_cache import pixels_key

_FORMAT = "2"  # 2: a checksum
_BATCH = 128


@dataclass(frozen=True, slots=True)
class FrozenTrunk:
    """A trained trunk that is taken as it is, with attention and pooling, and where its features are kept."""

    network: FusedClassifier
    """That the trunk is a part of; its head is not used."""
    weights_sha256: str
    """Of the run's weights file."""
    views: int
    """Augmented copies of every training photograph, beside the photograph itself."""
    folder: Path
    """Where the arrays lie."""


@dataclass(frozen=True, slots=True)
class FeatureData(LesionData):
    """One part of a data set as features, without its pixels: batches hold float32 [B, C] for pictures."""

    features: tuple[NDArray[np.float32], ...]
    """Float32 [N, C] of each view, memory-mapped."""

    def batches(self, order: NDArray[np.int64], size: int, device: torch.device) -> Iterator[Batch]:
        """Give the photographs `order`, each in a view drawn from torch's default generator; see the base class."""
        clinical = LesionData.batches(self, order, size, device)
        for start, batch in zip(range(0, len(order), size), clinical, strict=True):
            picked = order[start : start + size]
            view = torch.randint(0, len(self.features), (len(picked),)).numpy()
            drawn = np.empty((len(picked), self.features[0].shape[1]), dtype=np.float32)
            for number, features in enumerate(self.features):
                drawn[view == number] = features[picked[view == number]]
            yield replace(batch, features=torch.from_numpy(drawn).to(device))


def load_feature_data(
    trunk: FrozenTrunk, samples: Sequence[Sample], schema: ClinicalSchema, config: TrainConfig, views: int
) -> FeatureData:
    """Give a part of a data set as features, computing only the views that are not there yet.

    :param views: augmented copies.
    :raises InputRejected: a picture that cannot be read.
    """
    data = LesionData.load(samples, schema, config)
    paths = [sample.path for sample in samples]
    key = pixels_key(paths, config.image_size, config.resample, config.jpeg_detail) if samples else ""
    features = tuple(_load_view(trunk, data, key, config, view) for view in range(1 + views))
    return FeatureData(None, data.numeric, data.categorical, data.labels, features)


def _load_view(
    trunk: FrozenTrunk, data: LesionData, pixels: str, config: TrainConfig, view: int
) -> NDArray[np.float32]:
    drawn_with = (config.seed_of_split, view, config.augmentation) if view else ()
    prepared = preparation_of(config).names
    parts = (_FORMAT, trunk.weights_sha256, pixels, config.precision, drawn_with, *([prepared] if prepared else []))
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    target = trunk.folder / f"{key}-view{view}.f32"

    def make() -> Iterator[bytes]:
        return (features.tobytes() for features in _computed(trunk, data, config, view))

    flat = kept_array(target, key, make, "features")
    return flat.view(np.float32).reshape(len(data), -1) if len(flat) else np.empty((0, 0), dtype=np.float32)


@torch.no_grad()
def _computed(trunk: FrozenTrunk, data: LesionData, config: TrainConfig, view: int) -> Iterator[NDArray[np.float32]]:
    device = torch.device(config.device)
    network = trunk.network.eval().to(device).to(memory_format=torch.channels_last)
    torch.manual_seed(config.seed_of_split * 1_000_003 + 500_000 + view)
    batches = LesionData.batches(data, np.arange(len(data)), _BATCH, device)
    label = f"features of view {view}"
    for batch in progress(batches, label, total=math.ceil(len(data) / _BATCH)):
        image = _seen(batch, config, view)
        with autocast(config.precision, device):
            pooled = network.see(image)
        features: NDArray[np.float32] = pooled.float().cpu().numpy()
        yield features


def _seen(batch: Batch, config: TrainConfig, view: int) -> Tensor:
    assert batch.image is not None
    image: Tensor = preparation_of(config)(batch.image)
    return augment(image, config.augmentation) if view else image
