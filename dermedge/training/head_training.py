"""Train everything after the image branch on the features of a branch that is trained already.

The trunk is taken as it is and never changes, so an epoch takes seconds on a CPU. The run folder ends as any other,
with the weights of the whole network. Not covered: cutmix, which pastes pictures and is an error here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from dermedge.config import TrainConfig
from dermedge.data.batches.lesion_data import Batch, LesionData
from dermedge.data.cache.feature_cache import ImageBranch, load_feature_data
from dermedge.data.ham10000 import Sample
from dermedge.models.classifier import FusedClassifier
from dermedge_runtime.errors import UsageError

from .processes import Processes
from .run_folder import RunFolder
from .start_weights import load_start_weights
from .train import Trainer, build_model

_TRUNK = "trunk."


class HeadOnFeatures(FusedClassifier):
    """A `FusedClassifier` without trunk: where an image is expected it takes pooled features, float [B, C]."""

    def __init__(self, whole: FusedClassifier) -> None:
        nn.Module.__init__(self)
        self.trunk, self.encoder, self.head = None, whole.encoder, whole.head

    def prepare(self, image: Tensor | None) -> Tensor | None:
        """Give the features back: their pictures were prepared."""
        return image

    def score(self, image: Tensor | None, clinical: Tensor | None) -> Tensor:
        """Map features float [B, C] and encoded values float [B, F] to logits float32 [B, classes]."""
        logits: Tensor = self.head(image, clinical)
        return logits.float()


class HeadTrainer(Trainer):
    """Trains a head on the features of `branch`."""

    def __init__(self, config: TrainConfig, samples: list[Sample], run: RunFolder, branch: ImageBranch) -> None:
        _check_mixing(config)
        self.branch = branch
        super().__init__(config, samples, run)

    def _load(self, samples: Sequence[Sample], part: str) -> LesionData:
        views = self.branch.views if part == "train" else 0
        clinical = self.schema.clinical(self.config.protocol)
        return load_feature_data(self.branch, samples, clinical, self.config, views)

    def _new_model(self) -> FusedClassifier:
        return HeadOnFeatures(build_model(self.config, self.schema))

    def _load_start(self) -> None:
        load_start_weights(self.run.start_file, self.model, but=_TRUNK)

    def _augmented(self, batch: Batch) -> Tensor | None:
        return batch.image  # the views are augmented already

    def _published(self) -> dict[str, Tensor]:
        trunk = {f"{_TRUNK}{name}": tensor for name, tensor in self.branch.trunk.state_dict().items()}
        return trunk | self._kept()


def check_frozen(config: TrainConfig, processes: Processes, *, compiled: bool) -> None:
    """Look, before anything is written, whether a training with a frozen image branch makes sense.

    :raises UsageError: no weights to take the branch from, cutmix, several processes or torch.compile.
    """
    if not config.start_from:
        raise UsageError("--freeze-image-branch needs --start-from: the run whose image branch is taken as it is.")
    _check_mixing(config)
    if processes.count > 1 or compiled:
        raise UsageError(
            "A training with a frozen image branch takes minutes in one process:"
            " leave torchrun and --compile, or --freeze-image-branch."
        )


def frozen_trainer(config: TrainConfig, samples: list[Sample], run: RunFolder) -> HeadTrainer:
    """Make the trainer of a run whose image branch is that of its start weights.

    Projection, clinical branch, fusion and classifier start from these weights too where they are of the same kind.

    :raises DermedgeError: missing or damaged start weights.
    """
    whole = build_model(config, run.schema())
    load_start_weights(run.start_file, whole)
    assert whole.trunk is not None
    branch = ImageBranch(whole.trunk, config.start_from, config.feature_views, run.features)
    return HeadTrainer(config, samples, run, branch)


def _check_mixing(config: TrainConfig) -> None:
    if config.cutmix:
        raise UsageError("cutmix pastes pictures, and a head on computed features sees none: leave it out.")


def image_branch_record(branch: ImageBranch) -> dict[str, Any]:
    """What the record of a run with a shared branch says about it."""
    return {"image_branch": {"shared": True, "weights_sha256": branch.weights_sha256, "views": branch.views}}
