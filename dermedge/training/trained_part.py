"""What of a network is trained, on what, and what is kept: the part in which one training differs from another.

The `Trainer` is the same for all. Here is the usual part, the whole network on pictures; `head_training` has the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from dermedge.config import TrainConfig
from dermedge.data.batches.augment import augment
from dermedge.data.batches.lesion_data import Batch, LesionData, preparation_of
from dermedge.data.samples import Sample
from dermedge.data.schema import DataSchema
from dermedge.models.classifier import FusedClassifier, PatientClassifier
from dermedge_runtime.errors import DermedgeError

from .start_weights import load_start_weights


class TrainedPart(Protocol):
    """The part of a network that a `Trainer` trains."""

    def load(self, samples: Sequence[Sample], split_part: str) -> LesionData:
        """Give the photographs of a part of the split, train or validation, as the network reads them.

        :raises InputRejected: a picture that cannot be read.
        """

    def new_network(self) -> PatientClassifier:
        """Make the untrained network, with torch's default generator."""

    def published_network(self) -> PatientClassifier:
        """Make the untrained network that computes with what is published of the trained one, in float32."""

    def load_start(self, file: Path, network: nn.Module) -> None:
        """Copy the weights that the training starts from into the network.

        :raises DermedgeError: missing, damaged, or weights of another network.
        """

    def seen(self, batch: Batch) -> Tensor | None:
        """Give what the network scores of a training batch's pictures, augmented; None where it reads none."""

    def published(self, kept: dict[str, Tensor]) -> dict[str, Tensor]:
        """Complete the weights of the trained network to those of the whole network."""


def build_model(config: TrainConfig, schema: DataSchema) -> FusedClassifier:
    """Make the untrained network of a run.

    :raises DermedgeError: the widths of a pruned image branch do not fit it.
    """
    clinical, preparation = schema.clinical(config.protocol, config.unknown), preparation_of(config)
    branch, classes = (config.image_branch, config.widths), len(schema.classes)
    try:
        return FusedClassifier(
            config.fusion,
            clinical,
            classes,
            config.dropout,
            preparation,
            *branch,
            receptive_fields=config.receptive_fields,
            attention=config.attention,
            pooling=config.pooling,
            selects=config.select_features > 0,
            texture_patterns=config.texture_patterns,
        )
    except ValueError as error:
        raise DermedgeError(f"The record of the run is damaged: {error}. Train the run again.") from error


@dataclass(frozen=True, slots=True)
class WholeNetwork:
    """The whole network, on pictures and clinical values."""

    config: TrainConfig
    schema: DataSchema

    def load(self, samples: Sequence[Sample], split_part: str) -> LesionData:
        """See `TrainedPart`; both parts of the split are read alike."""
        return LesionData.load(samples, self.schema.clinical(self.config.protocol), self.config)

    def new_network(self) -> FusedClassifier:
        """See `TrainedPart`."""
        return build_model(self.config, self.schema)

    def published_network(self) -> FusedClassifier:
        """See `TrainedPart`."""
        return build_model(self.config, self.schema)

    def load_start(self, file: Path, network: nn.Module) -> None:
        """See `TrainedPart`."""
        load_start_weights(file, network)

    def seen(self, batch: Batch) -> Tensor | None:
        """Give the pictures float32 [B, 3, H, W], prepared, then augmented."""
        if batch.image is None:
            return None
        return augment(preparation_of(self.config)(batch.image), self.config.augmentation)

    def published(self, kept: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the weights as they are."""
        return kept
