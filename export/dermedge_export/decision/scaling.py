"""Scores to calibrated scores: one temperature for all classes, or a scale and an offset for each.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, call them temperature and vector scaling. The fit is
by cross-entropy on validation photographs. Which of the two is better is seen on held-out fifths of these; but vector
scaling can change what is the most probable class, and where that costs balanced accuracy or melanomas, as it takes a
shift of the class priors back, temperature scaling is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.model_selection import GroupKFold

from dermedge.statistics.metrics import balanced_accuracy
from dermedge.statistics.temperature import cross_entropy, inverse_temperature

TEMPERATURE, VECTOR = "temperature", "vector"
_FOLDS = 5
_GIVEN_UP = 0.003
"""What vector scaling may cost in balanced accuracy and in melanoma recall: as much as a conversion to INT8."""
_ROUNDING = 1e-9
_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Scores z become scale x z + offset."""

    method: str
    scale: _Floats
    """Float64 [classes], above 0; all alike for a temperature."""
    offset: _Floats
    """Float64 [classes]; 0 for a temperature."""

    def scores(self, scores: NDArray[np.floating[Any]]) -> _Floats:
        """Scale scores, float [N, classes]."""
        scaled: _Floats = scores.astype(np.float64) * self.scale + self.offset
        return scaled

    def probabilities(self, scores: NDArray[np.floating[Any]]) -> _Floats:
        """Give calibrated probabilities of scores, float [N, classes]."""
        found: _Floats = softmax(self.scores(scores), axis=1)
        return found

    def of_trained(self, scores: NDArray[np.floating[Any]]) -> _Floats:
        """Give back the trained weights' scores from scaled ones, float [N, classes]."""
        found: _Floats = (scores.astype(np.float64) - self.offset) / self.scale
        return found

    def after(self, earlier: Scaling) -> Scaling:
        """Give what leads from scores that were scaled before to those of this scaling alone."""
        scale = self.scale / earlier.scale
        return Scaling(self.method, scale, self.offset - scale * earlier.offset)

    @classmethod
    def none(cls, classes: int) -> Scaling:
        """Give the scaling that changes nothing."""
        return cls("none", np.ones(classes), np.zeros(classes))

    @classmethod
    def from_record(cls, record: Mapping[str, Any], classes: int) -> Scaling:
        """Read what `to_record` gives; an empty record is the scaling that changes nothing."""
        if not record:
            return cls.none(classes)
        if record["method"] == TEMPERATURE:
            return cls(TEMPERATURE, np.full(classes, 1 / record["temperature"]), np.zeros(classes))
        return cls(record["method"], np.array(record["scale"]), np.array(record["offset"]))

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        if self.method == TEMPERATURE:
            return {"method": self.method, "temperature": float(1 / self.scale[0])}
        return {"method": self.method, "scale": self.scale.tolist(), "offset": self.offset.tolist()}


@dataclass(frozen=True, slots=True)
class FittedScaling:
    """A scaling, and why it and not the other."""

    scaling: Scaling
    held_out: dict[str, float]
    """Cross-entropy on held-out fifths, by method."""
    refused: str
    """Why vector scaling was not taken though its cross-entropy is lower; empty where nothing was refused."""


def fit_scaling(
    scores: NDArray[np.floating[Any]],
    labels: NDArray[np.int64],
    lesions: NDArray[np.str_],
    melanoma: int | None,
) -> FittedScaling:
    """Fit both scalings and choose.

    :param scores: of validation photographs, float [N, classes].
    :param labels: int64 [N].
    :param lesions: lesion of every photograph, [N], at least `_FOLDS` different ones.
    :param melanoma: index of the class whose recall must not fall; None: there is none.
    """
    fits = {TEMPERATURE: _temperature, VECTOR: _vector}
    folds = list(GroupKFold(_FOLDS).split(scores, labels, lesions))
    held_out = {}
    for method, fit in fits.items():
        parts = [
            (_entropy(fit(scores[fitted], labels[fitted]), scores[held], labels[held]), held) for fitted, held in folds
        ]
        held_out[method] = float(sum(loss * len(held) for loss, held in parts) / len(labels))
    plain = _temperature(scores, labels)
    if held_out[VECTOR] >= held_out[TEMPERATURE]:
        return FittedScaling(plain, held_out, "")
    vector = _vector(scores, labels)
    costs = _costs(plain.scores(scores).argmax(1), vector.scores(scores).argmax(1), labels, melanoma)
    return FittedScaling(plain, held_out, costs) if costs else FittedScaling(vector, held_out, "")


def _costs(before: NDArray[np.intp], after: NDArray[np.intp], labels: NDArray[np.int64], melanoma: int | None) -> str:
    """Say what other labels would cost; empty: nothing to speak of."""
    said = []
    lost = balanced_accuracy(labels, before) - balanced_accuracy(labels, after)
    if lost > _GIVEN_UP + _ROUNDING:
        said.append(f"{100 * lost:.1f} points of balanced accuracy")
    if melanoma is not None and (own := labels == melanoma).any():
        lost = float(np.mean(before[own] == melanoma) - np.mean(after[own] == melanoma))
        if lost > max(_GIVEN_UP, 1 / own.sum()) + _ROUNDING:
            said.append(f"{100 * lost:.1f} points of melanoma recall")
    return f"vector scaling would cost {' and '.join(said)}" if said else ""


def _entropy(scaling: Scaling, scores: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> float:
    return cross_entropy(scaling.scores(scores), labels)


def _temperature(scores: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> Scaling:
    classes = scores.shape[1]
    return Scaling(TEMPERATURE, np.full(classes, inverse_temperature(scores, labels)), np.zeros(classes))


def _vector(scores: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> Scaling:
    values, classes = scores.astype(np.float64), scores.shape[1]
    truth = np.eye(classes)[labels]

    def made(parameters: _Floats) -> Scaling:
        return Scaling(VECTOR, np.exp(parameters[:classes]), parameters[classes:])

    def loss(parameters: _Floats) -> tuple[float, _Floats]:
        scaling = made(parameters)
        wrong = (scaling.probabilities(values) - truth) / len(labels)
        slope = np.concatenate([(wrong * values).sum(axis=0) * scaling.scale, wrong.sum(axis=0)])
        return _entropy(scaling, values, labels), slope

    found = minimize(loss, np.zeros(2 * classes), jac=True, method="L-BFGS-B")
    return made(found.x)
