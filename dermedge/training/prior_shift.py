"""A shift of the class priors: logits minus tau x log prior, so that rare classes are named more often.

Menon et al., ICLR 2021, call it post-hoc logit adjustment. It is a change of the classifier's last bias, made when the
weights are read: their file keeps the bias as it was trained and holds the shift as a tensor of its own, so that nobody
can apply it twice, another tau needs no training, and a training can start without it. Not covered: when it is written
(`shifted_weights`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dermedge.config import PriorTau
from dermedge.data.schema import DataSchema
from dermedge.statistics.metrics import balanced_accuracy
from dermedge.statistics.operating_point import recall_at_specificity

GRID = tuple(number / 10 for number in range(16))
"""The values of tau that `auto` tries, 0 to 1.5."""
GIVEN_UP = 0.03
"""What `auto` may cost at most, in accuracy and in melanoma recall at 90 % specificity: 3 points of each."""
_SHIFT = "prior_shift"
_LAST_BIAS = "head.classifier.3.bias"
_MELANOMA_RECALL = "melanoma_recall_at_90_specificity"


@dataclass(frozen=True, slots=True)
class Validation:
    """What the network answers to the validation split."""

    logits: Tensor
    """float32 [N, classes], of the weights without a shift."""
    labels: NDArray[np.int64]
    """int64 [N]."""


def choose_shift(
    tau: PriorTau, trained_on: NDArray[np.int64], schema: DataSchema, validate: Callable[[], Validation]
) -> dict[str, Any]:
    """Make the record of a shift.

    :param tau: auto takes that of `GRID` with the best balanced accuracy on validation, the smallest where several are,
        among those that cost no more than `GIVEN_UP`: balanced accuracy alone would pay for a few dermatofibromas with
        many melanomas.
    :param trained_on: labels of the training split, int64 [N].
    :param validate: called for auto alone.
    :return: `tau`, `chosen_on`, `log_priors` in the order of the classes (None: no photograph in training) and, for
        auto, the whole `grid`.
    """
    counts = np.bincount(trained_on, minlength=len(schema.classes))
    record: dict[str, Any] = {
        "tau": tau,
        "chosen_on": "given",
        "log_priors": [float(np.log(count / len(trained_on))) if count else None for count in counts],
    }
    if tau == "auto":
        grid = _tried(record["log_priors"], schema, validate())
        record |= {"tau": _best(grid)["tau"], "chosen_on": "validation", "grid": grid}
    return record


def balanced_accuracy_shifted(
    tau: PriorTau, trained_on: NDArray[np.int64], schema: DataSchema, found: Validation
) -> float:
    """Give the balanced accuracy on validation that a network would have after its shift (see `choose_shift`)."""
    record = choose_shift(tau, trained_on, schema, lambda: found)
    predicted = (found.logits - _shift(record["tau"], record["log_priors"])).argmax(1).numpy()
    return balanced_accuracy(found.labels, predicted)


def with_shift(tensors: dict[str, Tensor], record: dict[str, Any]) -> dict[str, Tensor]:
    """Add the tensor of a shift to the weights of a network, in the place of one that they have."""
    return {**tensors, _SHIFT: _shift(record["tau"], record["log_priors"])}


def unshifted(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the weights as they were trained."""
    return {name: tensor for name, tensor in tensors.items() if name != _SHIFT}


def shifted(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give the weights of the published network: its last bias holds the shift, if there is one."""
    trained = unshifted(tensors)
    if _SHIFT in tensors:
        trained[_LAST_BIAS] = trained[_LAST_BIAS] - tensors[_SHIFT]
    return trained


def _shift(tau: float, log_priors: list[float | None]) -> Tensor:
    """Give what is taken off the logits, float32 [classes]; 0, the least, for a class that was not in training."""
    return torch.tensor([tau * (each or 0.0) for each in log_priors], dtype=torch.float32)


def _best(grid: list[dict[str, Any]]) -> dict[str, Any]:
    unshifted_row = grid[0]
    kept = [
        row
        for row in grid
        if all(
            row[name] >= unshifted_row[name] - GIVEN_UP
            for name in ("accuracy", _MELANOMA_RECALL)
            if unshifted_row.get(name) is not None
        )
    ]
    return max(kept, key=lambda row: row["balanced_accuracy"])  # the first of equals


def _tried(log_priors: list[float | None], schema: DataSchema, found: Validation) -> list[dict[str, Any]]:
    rows = []
    for tau in GRID:
        probabilities = torch.softmax(found.logits - _shift(tau, log_priors), dim=1).numpy()
        predicted = probabilities.argmax(axis=1)
        row: dict[str, Any] = {
            "tau": tau,
            "balanced_accuracy": balanced_accuracy(found.labels, predicted),
            "accuracy": float(np.mean(predicted == found.labels)),
        }
        if schema.melanoma in schema.classes:
            watched = schema.classes.index(schema.melanoma)
            at_90 = recall_at_specificity(found.labels == watched, probabilities[:, watched])
            row[_MELANOMA_RECALL] = at_90
        rows.append(row)
    return rows
