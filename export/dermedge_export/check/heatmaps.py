"""Heat maps of real photographs, by autograd in torch and from a model file, for the comparison of the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dermedge.data.samples import Sample
from dermedge.models.classifier import FusedClassifier
from dermedge.models.ensemble import Ensemble
from dermedge_export.graph.to_onnx import contract_of
from dermedge_export.int8.calibration import model_inputs
from dermedge_runtime import Classifier
from dermedge_runtime.model.description import ModelSpec

_Floats = NDArray[np.float32]


def torch_heatmaps(
    model: FusedClassifier | Ensemble, spec: ModelSpec, samples: Sequence[Sample], targets: NDArray[np.int64]
) -> _Floats:
    """Grad-CAM of the trained weights by autograd, one photograph at a time; float32 [N, h, w].

    :param targets: index of the class to explain, for every photograph.
    """
    contract = contract_of(model.requires_grad_(requires_grad=False), explain=True, traced=False)
    maps = []
    for sample, target in zip(samples, targets, strict=True):
        inputs = {name: torch.from_numpy(array) for name, array in model_inputs([sample], spec).items()}
        inputs["target"] = torch.tensor([target], dtype=torch.int32)
        maps.append(contract(**inputs)["heatmap"].detach().numpy())
    return np.concatenate(maps)


def runtime_heatmaps(classifier: Classifier, samples: Sequence[Sample], targets: NDArray[np.int64]) -> _Floats:
    """The same heat maps from a model file, float32 [N, h, w]."""
    maps = []
    for sample, target in zip(samples, targets, strict=True):
        inputs: dict[str, Any] = model_inputs([sample], classifier.spec)
        numeric = inputs.get("numeric", np.empty((1, 0), dtype=np.float32))
        categorical = inputs.get("categorical", np.empty((1, 0), dtype=np.int32))
        maps.append(classifier.run(inputs["image"], numeric, categorical, int(target))["heatmap"])
    return np.concatenate(maps)
