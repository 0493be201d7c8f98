"""The gate of every export: a file must, in the shipped runtime, decide as the trained weights do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge.statistics.metrics import balanced_accuracy
from dermedge_runtime.errors import DermedgeError, UsageError

from .own_resizing import OwnResizing

_ROUNDING = 1e-9
"""Differences of shares of pictures that are equal in truth."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What an export may change at most."""

    agreement: float
    """Smallest share of photographs with the same class, 0 to 1."""
    balanced_accuracy_drop: float
    """Largest loss of balanced accuracy, 0 to 1."""
    heatmap_correlation: float = 0.0
    """Smallest median correlation of the heat maps, -1 to 1."""
    melanoma_recall_drop: float | None = None
    """Largest loss of melanoma recall, 0 to 1; None: as much as of balanced accuracy."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name == "melanoma_recall_drop" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise UsageError(f"The limit {name} must be a number, got {value!r}.")


DEFAULT_LIMITS = {
    "fp32": Limits(0.999, 0.001, 0.99),
    "fp16": Limits(0.995, 0.003, 0.95),
    "int8": Limits(0.97, 0.003, 0.95),
}


def limits_from_percent(
    precision: str, agreement: float | None, drop: float | None, heatmap: float | None = None
) -> Limits:
    """Limits of a precision, with those that were given (percent, points, correlation) instead of the defaults."""
    limits = DEFAULT_LIMITS[precision]
    return Limits(
        limits.agreement if agreement is None else agreement / 100,
        limits.balanced_accuracy_drop if drop is None else drop / 100,
        limits.heatmap_correlation if heatmap is None else heatmap,
    )


@dataclass(frozen=True, slots=True)
class Parity:
    """Comparison of a model file with the trained weights on real photographs."""

    images: int
    split: str
    """Part of the data set the photographs are from."""
    provider: str
    arithmetic: str
    """CPU that the file ran on, and for INT8 its instructions."""
    agreement: float
    """Share of photographs with the same class."""
    balanced_accuracy_reference: float
    balanced_accuracy: float
    heaviest_lost_picture: float
    """Share of the balanced accuracy that the heaviest of the pictures holds that are no longer right; 0: none."""
    melanoma: str | None
    """Code of melanoma; None: the schema names none, and its recall is not compared."""
    melanoma_recall_reference: float | None
    melanoma_recall: float | None
    melanomas: int
    """Photographs of melanomas."""
    largest_probability_change: float
    mean_probability_change: float
    heatmap_correlation: float | None = None
    """Median over the photographs of Pearson's r between the heat maps; None where there is none to compare."""
    own_resizing: OwnResizing | None = None
    """Of a file for pictures of any size alone."""

    def violations(self, limits: Limits) -> list[str]:
        """Say which limits are broken and by how much.

        A loss of one picture is never one too many, however few there are of its class: a limit that is finer than a
        picture could only be kept by losing none.
        """
        if not math.isfinite(self.largest_probability_change):
            return ["its probabilities are not finite"]
        found = []
        if self.agreement < limits.agreement:
            found.append(f"class agreement is {self.agreement:.2%}, the limit is {limits.agreement:.2%}")
        drop, limit = self.balanced_accuracy_reference - self.balanced_accuracy, limits.balanced_accuracy_drop
        found += _over("balanced accuracy", drop, limit, self.heaviest_lost_picture)
        if self.melanoma_recall is not None and self.melanoma_recall_reference is not None:
            drop = self.melanoma_recall_reference - self.melanoma_recall
            limit = limit if limits.melanoma_recall_drop is None else limits.melanoma_recall_drop
            found += _over("melanoma recall", drop, limit, 1 / self.melanomas)
        if self.heatmap_correlation is not None and self.heatmap_correlation < limits.heatmap_correlation:
            found.append(
                f"the heat maps' median correlation is {self.heatmap_correlation:.5f},"
                f" the limit is {limits.heatmap_correlation:.5f}"
            )
        if self.own_resizing is not None and not self.own_resizing.agreement >= limits.agreement:
            found.append(f"{self.own_resizing.summary()}, the limit is {limits.agreement:.2%}")
        return found

    def to_record(self) -> dict[str, Any]:
        """Give a JSON-ready dictionary."""
        return asdict(self)

    def summary(self) -> str:
        """Give the comparison in one line."""
        melanoma = "" if self.melanoma else ", melanoma recall not compared (the schema names no melanoma class)"
        if self.melanoma_recall is not None and self.melanoma_recall_reference is not None:
            melanoma = f", melanoma recall {self.melanoma_recall_reference:.4f} -> {self.melanoma_recall:.4f}"
        heatmaps = ""
        if self.heatmap_correlation is not None:
            heatmaps = f", heat maps correlate {self.heatmap_correlation:.3f}"
        return (
            f"agreement {self.agreement:.2%} on {self.images} {self.split} images, balanced accuracy"
            f" {self.balanced_accuracy_reference:.4f} -> {self.balanced_accuracy:.4f}{melanoma},"
            f" largest probability change {self.largest_probability_change:.2g}{heatmaps}"
            f"{f', {self.own_resizing.summary()}' if self.own_resizing else ''}"
            f"{f' ({self.arithmetic})' if self.arithmetic else ''}"
        )


def _over(what: str, drop: float, limit: float, picture: float) -> list[str]:
    """Say that a loss is larger than its limit and than what one picture is worth, all of them 0 to 1."""
    if drop <= max(limit, picture) + _ROUNDING:
        return []
    allowed = f"the limit is {100 * limit:.2f}"
    if picture > limit:
        allowed += f" or one picture, {100 * picture:.2f}"
    return [f"{what} falls by {100 * drop:.2f} points, {allowed}"]


def parity_of(
    reference: NDArray[np.float32],
    candidate: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    *,
    melanoma: str | None,
    split: str,
    provider: str,
    arithmetic: str = "",
) -> Parity:
    """Compare probabilities float32 [N, classes] of the same photographs.

    :param melanoma: its code among `classes`, or None where no class is melanoma alone.
    :param arithmetic: of the candidate, for people.
    """
    expected, found = reference.argmax(1), candidate.argmax(1)
    change = np.abs(reference - candidate)
    return Parity(
        images=len(labels),
        split=split,
        provider=provider,
        arithmetic=arithmetic,
        agreement=float(np.mean(expected == found)),
        balanced_accuracy_reference=balanced_accuracy(labels, expected),
        balanced_accuracy=balanced_accuracy(labels, found),
        heaviest_lost_picture=_heaviest(labels, (expected == labels) & (found != labels)),
        melanoma=melanoma,
        melanoma_recall_reference=_recall(labels, expected, classes, melanoma),
        melanoma_recall=_recall(labels, found, classes, melanoma),
        melanomas=0 if melanoma is None else int(np.sum(labels == list(classes).index(melanoma))),
        largest_probability_change=float(change.max()),
        mean_probability_change=float(change.mean()),
    )


def _recall(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[str], code: str | None
) -> float | None:
    if code is None:
        return None
    own = labels == list(classes).index(code)
    return float(np.mean(predicted[own] == labels[own])) if own.any() else None


def _heaviest(labels: NDArray[np.int64], lost: NDArray[np.bool_]) -> float:
    """Give the largest share of the balanced accuracy that one of the lost pictures holds."""
    present, counts = np.unique(labels, return_counts=True)
    own = np.isin(present, labels[lost])
    return float(1 / (len(present) * counts[own].min())) if own.any() else 0.0


def median_correlation(reference: NDArray[np.float32], candidate: NDArray[np.float32]) -> float | None:
    """Median over the photographs of Pearson's r between two stacks of heat maps, float32 [N, h, w].

    Two maps without contrast agree and are left out; one without against one with counts as 0. None where all are left
    out.
    """
    pairs = zip(reference.reshape(len(reference), -1), candidate.reshape(len(candidate), -1), strict=True)
    found = [_correlation(one, other) for one, other in pairs if one.std() > 0 or other.std() > 0]
    return float(np.median(found)) if found else None


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 and other.std() > 0 else 0.0


class ParityError(DermedgeError):
    """A file that decides too differently from the trained weights to be published."""
