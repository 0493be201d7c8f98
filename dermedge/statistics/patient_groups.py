"""Groups of patients that figures are given for: every word of a vocabulary, bands of a number, and unknown."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dermedge.data.samples import Sample
from dermedge_runtime.inputs.clinical import UNKNOWN_CATEGORY, ClinicalSchema

_BAND = 20
"""Width of an age band, years."""
_YEARS = "years"
UNKNOWN = "unknown"


def patient_groups(samples: Sequence[Sample], schema: ClinicalSchema) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Tell which samples belong to each group, by field and group; bool [N] each.

    Numbers in years fall into bands of 20, others into the thirds of the values that are there. Groups that nobody
    belongs to are there too.
    """
    groups: dict[str, dict[str, NDArray[np.bool_]]] = {}
    for number in schema.numeric:
        values = np.array([number.parse(sample.clinical.get(number.name)) for sample in samples])
        bands = _year_bands(number.minimum, number.maximum) if number.unit == _YEARS else _thirds(values)
        groups[number.name] = {_title(low, high): (values >= low) & (values < high) for low, high in bands}
        groups[number.name][UNKNOWN] = np.isnan(values)
    for words in schema.categorical:
        found = np.array([words.parse(sample.clinical.get(words.name)) for sample in samples])
        groups[words.name] = {word: found == index for index, word in enumerate(words.vocabulary)}
        groups[words.name][UNKNOWN] = found == UNKNOWN_CATEGORY
    return groups


def _year_bands(low: float, high: float) -> list[tuple[float, float]]:
    edges = [*np.arange(low, high, _BAND), np.inf]
    return list(itertools.pairwise(edges))


def _thirds(values: NDArray[np.float64]) -> list[tuple[float, float]]:
    known = values[~np.isnan(values)]
    if not len(known):
        return []
    first, second = np.percentile(known, (100 / 3, 200 / 3))
    return [(-np.inf, first), (first, second), (second, np.inf)]


def _title(low: float, high: float) -> str:
    if np.isinf(low):
        return f"below {high:g}"
    return f"{low:g} and above" if np.isinf(high) else f"{low:g} to below {high:g}"
