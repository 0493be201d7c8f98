"""Selection of image features before the classifier is trained (as Arshad et al., 2021, have it; doi
10.1155/2021/9619079).

The pooled features that the start weights give of the training photographs are ranked by an analysis of variance: how
far the diagnoses' means lie apart, against the spread within a diagnosis (F). The best share of them is kept; the rest
is nothing to the head, for good. Photographs of validation and test are never looked at, nor are augmented copies. What
differs from the publication: it ranks by a support vector regression that is held to a skewness.
"""

from __future__ import annotations

import logging
import math
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.feature_selection import f_classif

from dermedge.config import TrainConfig
from dermedge.data.batches.lesion_data import LesionData, preparation_of
from dermedge.data.cache.feature_cache import FeatureData
from dermedge.models.autocast import autocast
from dermedge.models.classifier import FusedClassifier, PatientClassifier
from dermedge_runtime.errors import UsageError

from .processes import Processes

_log = logging.getLogger(__name__)
_BATCH = 128


def select_features(model: PatientClassifier, training: LesionData, config: TrainConfig) -> None:
    """Keep the best features for the head of a network that has its start weights, in place.

    Where these are all weights of a run that has selected as many, its selection stays: its head is made for it.

    :param training: the training photographs, as the network reads them.
    :raises UsageError: an untrained image branch.
    """
    image = model.head.image
    assert image is not None and image.kept is not None
    if not bool(image.kept.all()):
        return
    if isinstance(training, FeatureData):  # of a trunk that is trained, or given
        features = training.features[0]
    else:
        _check_start(config)
        features = _features(model, training, config)
    scores = importance(features, training.labels)
    count = max(1, math.ceil(config.select_features * len(scores)))
    kept = np.zeros(len(scores), dtype=np.float32)
    kept[np.argsort(-scores, kind="stable")[:count]] = 1
    image.kept.copy_(torch.from_numpy(kept))
    _log.info("%d of %d image features selected, on %d training images", count, len(scores), len(training))


def importance(features: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give F of every feature, at least 0; one that never changes has 0.

    :param features: float32 [N, C].
    :param labels: int64 [N], of two classes or more.
    """
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore", UserWarning)  # about features that never change
        scores = f_classif(features.astype(np.float64), labels)[0]
    return np.nan_to_num(np.asarray(scores, dtype=np.float64), nan=0.0)


@torch.no_grad()
def _features(model: PatientClassifier, training: LesionData, config: TrainConfig) -> NDArray[np.float32]:
    assert isinstance(model, FusedClassifier)
    device = next(model.parameters()).device
    learning, preparation, rows = model.training, preparation_of(config), []
    model.eval()
    for batch in training.batches(np.arange(len(training)), _BATCH, device):
        assert batch.image is not None
        with autocast(config.precision, device):
            rows.append(model.see(preparation(batch.image)).float().cpu().numpy())
    model.train(learning)
    return np.concatenate(rows)


def check_selection(config: TrainConfig, processes: Processes) -> None:
    """Look, before anything is written, whether a selection makes sense.

    :raises UsageError: an untrained image branch, whose features say nothing yet, or several processes.
    """
    _check_start(config)
    if processes.count > 1:
        raise UsageError("--select-features looks at all training photographs in one process: leave torchrun out.")


def _check_start(config: TrainConfig) -> None:
    if not config.start_from and not config.on_embeddings:
        raise UsageError(
            "--select-features chooses among features that mean something already: give --pretrained or --start-from."
        )
