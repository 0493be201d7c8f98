"""Probabilities of a run's photographs, from the trained weights in torch and from model files in the runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from dermedge.data.batches.lesion_data import LesionData
from dermedge.data.samples import Sample
from dermedge.models.classifier import FeatureClassifier, FusedClassifier
from dermedge.models.ensemble import Ensemble
from dermedge_runtime import Classifier

from .answers import FLIPS, runtime_answers
from .answers import labels_of as labels_of  # its name to all who read predictions
from .checkpoint import load_weights, read_tensors
from .embedding_training import embedding_data, network_on
from .logits import predict_logits
from .members import new_ensemble, recorded_members
from .prior_shift import Validation, unshifted
from .run import Run
from .trained_part import build_model

TRAINED_WEIGHTS = "trained weights (torch)"
_Network = TypeVar("_Network", FusedClassifier, Ensemble, FeatureClassifier)


def trained_model(run: Run) -> FusedClassifier:
    """Load the best weights of a run of one network, with their shift of class priors, in evaluation mode on the CPU.

    :raises UsageError: the run is an ensemble, or reads given embeddings.
    :raises DermedgeError: no run, no weights, or damaged ones.
    """
    return _with_weights(build_model(run.config, run.schema), run)


def trained_networks(run: Run) -> FusedClassifier | Ensemble:
    """Load what answers for a run, a single network or an ensemble; otherwise as `trained_model`."""
    return _with_weights(new_ensemble(run), run) if recorded_members(run) else trained_model(run)


def _with_weights(model: _Network, run: Run) -> _Network:
    _ = run.weights_sha256  # says what to do where there are none
    load_weights(run.weights_file, model)
    return model.eval()


def _answering(run: Run) -> FusedClassifier | Ensemble | FeatureClassifier:
    """Load what answers for a run, whatever it reads; otherwise as `trained_model`."""
    given = run.embeddings
    return (
        trained_networks(run) if given is None else _with_weights(network_on(given.size, run.config, run.schema), run)
    )


def _data(run: Run, samples: Sequence[Sample]) -> LesionData:
    """Give photographs as a run reads them.

    :raises InputRejected: a picture that cannot be read, or without its embedding.
    """
    if run.embeddings is not None:
        return embedding_data(run.embeddings, samples, run.config, run.schema)
    return LesionData.load(samples, run.schema.clinical(run.config.protocol), run.config)


def validation_answers(run: Run, samples: Sequence[Sample]) -> Validation:
    """Run the trained weights without their prior shift over the validation split, in float32 on the CPU.

    :param samples: of the whole data set.
    :raises InputRejected: pictures are missing.
    """
    config, given = run.config, run.embeddings
    model = build_model(config, run.schema) if given is None else network_on(given.size, config, run.schema)
    model.load_state_dict(unshifted(read_tensors(run.weights_file)))
    data = _data(run, run.split.select(samples, "validation"))
    return Validation(predict_logits(model, data, torch.device("cpu")), data.labels)


def torch_logits(run: Run, samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Run the trained weights in torch in float32 on the CPU; scores before the softmax, float32 [N, classes]."""
    scores: NDArray[np.float32] = predict_logits(_answering(run), _data(run, samples), torch.device("cpu")).numpy()
    return scores


def torch_probabilities(run: Run, samples: Sequence[Sample], *, flips: bool = False) -> NDArray[np.float32]:
    """Run the trained weights in torch in float32 on the CPU; float32 [N, classes].

    :param flips: the mean over `FLIPS`, for a run that reads pictures.
    """
    model, data = _answering(run), _data(run, samples)
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
    return runtime_answers(classifier, samples, flips=flips).probabilities
