"""Probabilities of a run's photographs, from the trained weights in torch and from model files in the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dermedge_runtime import Classifier, Rejection
from dermedge_runtime.errors import InputRejected

from .checkpoint import load_weights
from .data.batches import LesionData
from .data.samples import Sample
from .models.classifier import FusedClassifier
from .progress import progress
from .run_folder import RunFolder
from .train import build_model, predict_logits

TRAINED_WEIGHTS = "trained weights (torch)"
_BATCH = 16


def trained_model(run: RunFolder) -> FusedClassifier:
    """Load the best weights of a run, in evaluation mode on the CPU.

    :raises DermedgeError: no run, no weights, or damaged ones.
    """
    model = build_model(run.config(), run.schema())
    run.weights_sha256()
    load_weights(run.weights_file, model)
    return model.eval()


def labels_of(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Class indices, int64 [N]."""
    return np.array([sample.label for sample in samples], dtype=np.int64)


def torch_probabilities(run: RunFolder, samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Run the trained weights in torch in float32 on the CPU; float32 [N, classes]."""
    config = run.config()
    data = LesionData.load(samples, run.schema().clinical(config.protocol), config)
    logits = predict_logits(trained_model(run), data, torch.device("cpu"))
    probabilities: NDArray[np.float32] = torch.softmax(logits, dim=1).numpy()
    return probabilities


def runtime_probabilities(classifier: Classifier, samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Run a model file through the shipped runtime, from the pictures' files on; float32 [N, classes].

    :raises InputRejected: a picture that cannot be read.
    """
    names = classifier.spec.clinical.names
    rows: list[list[float]] = []
    starts = range(0, len(samples), _BATCH)
    for start in progress(starts, f"run {classifier.name}", total=len(starts)):
        part = samples[start : start + _BATCH]
        clinical: list[dict[str, Any]] = [{n: s.clinical[n] for n in names if n in s.clinical} for s in part]
        images = [sample.path if classifier.spec.image is not None else None for sample in part]
        for result in classifier.predict_many(images, clinical, batch_size=_BATCH):
            if isinstance(result, Rejection):
                raise InputRejected(result.reason)
            rows.append(list(result.probabilities.values()))
    return np.array(rows, dtype=np.float32)
