"""Probabilities of a run's photographs, from the trained weights in torch and from model files in the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dermedge.data.batches.lesion_data import LesionData
from dermedge.data.samples import Sample
from dermedge.models.classifier import FusedClassifier
from dermedge.progress import progress
from dermedge_runtime import Classifier, Rejection
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.image import ImageSource, load_image

from .checkpoint import load_weights, read_tensors
from .prior_shift import Validation, unshifted
from .run import Run
from .train import predict_logits
from .trained_part import build_model

TRAINED_WEIGHTS = "trained weights (torch)"
FLIPS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
"""The picture, its mirror images and its half turn, as steps over rows and columns."""
_BATCH = 16


def trained_model(run: Run) -> FusedClassifier:
    """Load the best weights of a run, with their shift of class priors, in evaluation mode on the CPU.

    :raises DermedgeError: no run, no weights, or damaged ones.
    """
    model = build_model(run.config, run.schema)
    _ = run.weights_sha256  # says what to do where there are none
    load_weights(run.weights_file, model)
    return model.eval()


def labels_of(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Class indices, int64 [N]."""
    return np.array([sample.label for sample in samples], dtype=np.int64)


def validation_answers(run: Run, samples: Sequence[Sample]) -> Validation:
    """Run the trained weights without their prior shift over the validation split, in float32 on the CPU.

    :param samples: of the whole data set.
    :raises InputRejected: pictures are missing.
    """
    config, model = run.config, build_model(run.config, run.schema)
    model.load_state_dict(unshifted(read_tensors(run.weights_file)))
    chosen = run.split.select(samples, "validation")
    data = LesionData.load(chosen, run.schema.clinical(config.protocol), config)
    return Validation(predict_logits(model, data, torch.device("cpu")), data.labels)


def torch_logits(run: Run, samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Run the trained weights in torch in float32 on the CPU; scores before the softmax, float32 [N, classes]."""
    config = run.config
    data = LesionData.load(samples, run.schema.clinical(config.protocol), config)
    scores: NDArray[np.float32] = predict_logits(trained_model(run), data, torch.device("cpu")).numpy()
    return scores


def torch_probabilities(run: Run, samples: Sequence[Sample], *, flips: bool = False) -> NDArray[np.float32]:
    """Run the trained weights in torch in float32 on the CPU; float32 [N, classes].

    :param flips: the mean over `FLIPS`, for a run that reads pictures.
    """
    config, model = run.config, trained_model(run)
    data = LesionData.load(samples, run.schema.clinical(config.protocol), config)
    views = [data]
    if flips:
        assert data.pixels is not None
        views = [replace(data, pixels=data.pixels[:, ::down, ::right]) for down, right in FLIPS]
    outputs = [torch.softmax(predict_logits(model, view, torch.device("cpu")), dim=1) for view in views]
    probabilities: NDArray[np.float32] = torch.stack(outputs).mean(dim=0).numpy()
    return probabilities


def runtime_probabilities(
    classifier: Classifier, samples: Sequence[Sample], *, flips: bool = False
) -> NDArray[np.float32]:
    """Run a model file through the shipped runtime, from the pictures' files on; float32 [N, classes].

    :param flips: the mean over `FLIPS`, for a model that reads pictures.
    :raises InputRejected: a picture that cannot be read.
    """
    names = classifier.spec.clinical.names
    rows: list[list[float]] = []
    starts = range(0, len(samples), _BATCH)
    for start in progress(starts, f"run {classifier.name}", total=len(starts)):
        part = samples[start : start + _BATCH]
        clinical: list[dict[str, Any]] = [{n: s.clinical[n] for n in names if n in s.clinical} for s in part]
        views = [_predicted(classifier, images, clinical) for images in _views(classifier, part, flips=flips)]
        rows += np.mean(views, axis=0).tolist()
    return np.array(rows, dtype=np.float32)


def _views(classifier: Classifier, samples: Sequence[Sample], *, flips: bool) -> list[list[ImageSource | None]]:
    image = classifier.spec.image
    if not flips:
        return [[sample.path if image is not None else None for sample in samples]]
    assert image is not None
    pictures = [load_image(sample.path, image.size, image.resample, image.detail) for sample in samples]
    return [[np.ascontiguousarray(pixels[::down, ::right]) for pixels in pictures] for down, right in FLIPS]


def _predicted(
    classifier: Classifier, images: list[ImageSource | None], clinical: list[dict[str, Any]]
) -> list[list[float]]:
    rows = []
    for result in classifier.predict_many(images, clinical, batch_size=_BATCH):
        if isinstance(result, Rejection):
            raise InputRejected(result.reason)
        rows.append(list(result.probabilities.values()))
    return rows
