"""Train everything after the trunk on the features of a trunk that is trained already.

The trunk is taken as it is and never changes, so an epoch takes seconds on a CPU. The run folder ends as any other,
with the weights of the whole network. Not covered: cutmix, which pastes pictures and is an error here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from dermedge.config import TrainConfig
from dermedge.data.batches.lesion_data import Batch, LesionData
from dermedge.data.cache.feature_cache import FrozenTrunk, load_feature_data
from dermedge.data.samples import Sample
from dermedge.data.schema import DataSchema
from dermedge.models.classifier import IMAGE_SIDE, FeatureClassifier
from dermedge_runtime.errors import UsageError

from .processes import Processes
from .run import Run
from .start_weights import load_start_weights
from .trained_part import build_model

_RECORD = "image_branch"
"""The key of `shared_trunk_record` in the files of a run."""


@dataclass(frozen=True, slots=True)
class HeadOnFeatures:
    """What follows the trunk, on the features of `trunk`; a `TrainedPart`."""

    config: TrainConfig
    schema: DataSchema
    trunk: FrozenTrunk

    def __post_init__(self) -> None:
        """Refuse what needs pictures.

        :raises UsageError: cutmix.
        """
        _check_mixing(self.config)

    def load(self, samples: Sequence[Sample], split_part: str) -> LesionData:
        """See `TrainedPart`; augmented views are for the training alone."""
        views = self.trunk.views if split_part == "train" else 0
        return load_feature_data(self.trunk, samples, self.schema.clinical(self.config.protocol), self.config, views)

    def new_network(self) -> FeatureClassifier:
        """See `TrainedPart`."""
        whole = build_model(self.config, self.schema)
        return FeatureClassifier(whole.encoder, whole.head)

    def published_network(self) -> FeatureClassifier:
        """See `TrainedPart`."""
        return self.new_network()

    def load_start(self, file: Path, network: nn.Module) -> None:
        """See `TrainedPart`; what is frozen among the weights is left."""
        load_start_weights(file, network, but=IMAGE_SIDE)

    def seen(self, batch: Batch) -> Tensor | None:
        """Give the features float32 [B, C]: their views are augmented already."""
        return batch.features

    def published(self, kept: dict[str, Tensor]) -> dict[str, Tensor]:
        """Put the frozen trunk before the trained rest."""
        whole = self.trunk.network.state_dict()
        return {name: tensor for name, tensor in whole.items() if name.startswith(IMAGE_SIDE)} | kept


def check_frozen(config: TrainConfig, processes: Processes, *, compiled: bool) -> None:
    """Look, before anything is written, whether a training with a frozen image branch makes sense.

    :raises UsageError: no weights to take the branch from, cutmix, several processes or torch.compile.
    """
    if not config.start_from:
        raise UsageError(
            "--freeze-image-branch needs --start-from, the run whose image branch is taken as it is, or --pretrained."
        )
    _check_mixing(config)
    if processes.count > 1 or compiled:
        raise UsageError(
            "A training with a frozen image branch takes minutes in one process:"
            " leave torchrun and --compile, or --freeze-image-branch."
        )


def head_on_start_weights(config: TrainConfig, run: Run) -> HeadOnFeatures:
    """Take the trunk of a run's start weights as it is.

    Projection, clinical branch, fusion and classifier start from these weights too where they are of the same kind.

    :raises UsageError: cutmix.
    :raises DermedgeError: missing or damaged start weights.
    """
    schema = run.schema
    whole = build_model(config, schema)
    load_start_weights(run.start_file, whole)
    trunk = FrozenTrunk(whole, config.start_from, config.feature_views, run.features)
    return HeadOnFeatures(config, schema, trunk)


def shared_trunk_record(trunk: FrozenTrunk) -> dict[str, Any]:
    """What the record of a run says whose trunk is another run's."""
    return {_RECORD: {"shared": True, "weights_sha256": trunk.weights_sha256, "views": trunk.views}}


def recorded_trunk(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Find in the record of a run what `shared_trunk_record` said; None where the run has a trunk of its own."""
    found: dict[str, Any] | None = record.get(_RECORD)
    return found


def _check_mixing(config: TrainConfig) -> None:
    if config.cutmix:
        raise UsageError("cutmix pastes pictures, and a head on computed features sees none: leave it out.")
