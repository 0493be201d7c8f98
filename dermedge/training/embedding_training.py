"""Train everything after the image branch on embeddings of the pictures that somebody else has computed.

They are in a file (`data.given_embeddings`), of which the run's record keeps the path and the SHA-256: the run is
resumed, evaluated and shifted with the same file or not at all (`Run.embeddings`). No picture is opened, and nothing is
augmented. Such a run is no model file: `families.family_of` says why to all who ask for its image branch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from dermedge.config import TrainConfig
from dermedge.data.batches.lesion_data import Batch, LesionData
from dermedge.data.cache.feature_cache import FeatureData
from dermedge.data.given_embeddings import GivenEmbeddings
from dermedge.data.samples import Sample
from dermedge.data.schema import DataSchema
from dermedge.models.classifier import FeatureClassifier, Head
from dermedge.models.clinical_branch import ClinicalEncoder
from dermedge.models.fusion import fusion_class
from dermedge_runtime.errors import UsageError

from .processes import Processes
from .start_weights import load_start_weights


@dataclass(frozen=True, slots=True)
class HeadOnEmbeddings:
    """Head, fusion and classifier on given embeddings; a `TrainedPart`."""

    config: TrainConfig
    schema: DataSchema
    embeddings: GivenEmbeddings

    def load(self, samples: Sequence[Sample], split_part: str) -> LesionData:
        """See `TrainedPart`; both parts of the split are read alike."""
        return embedding_data(self.embeddings, samples, self.config, self.schema)

    def new_network(self) -> FeatureClassifier:
        """See `TrainedPart`."""
        return network_on(self.embeddings.size, self.config, self.schema)

    def published_network(self) -> FeatureClassifier:
        """See `TrainedPart`."""
        return self.new_network()

    def load_start(self, file: Path, network: nn.Module) -> None:
        """See `TrainedPart`."""
        load_start_weights(file, network)

    def seen(self, batch: Batch) -> Tensor | None:
        """Give the embeddings float32 [B, D] as they are."""
        return batch.features

    def published(self, kept: dict[str, Tensor]) -> dict[str, Tensor]:
        """Give the weights as they are: there are no others."""
        return kept


def network_on(size: int, config: TrainConfig, schema: DataSchema) -> FeatureClassifier:
    """Make the untrained network of a run on given embeddings.

    :param size: D, the numbers of an embedding.
    """
    clinical = schema.clinical(config.protocol, config.unknown)
    encoder = ClinicalEncoder(clinical) if fusion_class(config.fusion).uses_clinical else None
    selects = config.select_features > 0
    return FeatureClassifier(
        encoder, Head(config.fusion, clinical, len(schema.classes), config.dropout, size, selects=selects)
    )


def embedding_data(
    given: GivenEmbeddings, samples: Sequence[Sample], config: TrainConfig, schema: DataSchema
) -> FeatureData:
    """Give a part of a data set as its embeddings, without its pixels.

    :raises InputRejected: pictures without an embedding.
    """
    data = LesionData.load(samples, schema.clinical(config.protocol), config)
    return FeatureData(None, data.numeric, data.categorical, data.labels, (given.of(samples),))


def check_embeddings(processes: Processes, *, compiled: bool) -> None:
    """Look, before anything is written, whether a training on given embeddings makes sense.

    :raises UsageError: several processes or torch.compile.
    """
    if processes.count > 1 or compiled:
        raise UsageError(
            "A training on given embeddings takes minutes in one process: leave torchrun and --compile out."
        )
