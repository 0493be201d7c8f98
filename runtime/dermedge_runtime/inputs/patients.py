"""Patients' values as a caller gives them -> the model's inputs, in step with the pictures; what was understood."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.errors import InputRejected, UsageError

from .clinical import UNKNOWN_CATEGORY, ClinicalSchema, ClinicalValue

Clinical: TypeAlias = Iterable[Mapping[str, ClinicalValue] | None] | Mapping[str, ClinicalValue] | None
"""One mapping for all pictures, or one per picture; None: nothing is known."""


@dataclass(frozen=True, slots=True)
class Patient:
    """One patient's values."""

    numeric: NDArray[np.float32]
    """float32 [1, Nn], NaN = unknown."""
    categorical: NDArray[np.int32]
    """int32 [1, Nc], -1 = unknown."""
    given: Mapping[str, float | str]
    """By field, the values that are known: numbers in the field's unit, words as the vocabulary has them."""
    unknown: tuple[str, ...]
    """The other fields."""


def read_patient(schema: ClinicalSchema, values: Mapping[str, ClinicalValue]) -> Patient:
    """Read one patient's values.

    :raises InputRejected: a field the schema lacks, or a value that it does not take.
    """
    numeric, categorical = schema.encode([values])
    given: dict[str, float | str] = {}
    for number in schema.numeric:
        value = number.parse(values.get(number.name))
        if value == value:  # NaN is unknown
            given[number.name] = value
    for field, index in zip(schema.categorical, categorical[0].tolist(), strict=True):
        if index != UNKNOWN_CATEGORY:
            given[field.name] = field.vocabulary[index]
    return Patient(numeric, categorical, given, tuple(name for name in schema.names if name not in given))


def in_step(
    schema: ClinicalSchema, images: Iterable[Any], clinical: Clinical
) -> Iterator[tuple[Any, Patient | InputRejected]]:
    """Give every picture with its patient; a value that cannot be used comes as the error that says why.

    Both may be endless: nothing is taken before it is asked for, and the values are read when they are taken.

    :raises InputRejected: a wrong value for all pictures, or not as many sets of values as pictures. Where both have a
        length, and for the value for all, at once; else at the picture where it is found.
    :raises UsageError: clinical values that are no mappings.
    """
    if clinical is None or _is_mapping(clinical):
        patient = read_patient(schema, _values(clinical, ""))
        return ((image, patient) for image in images)
    if isinstance(clinical, str | bytes) or not isinstance(clinical, Iterable) or getattr(clinical, "ndim", 1) != 1:
        hint = ": give frame.to_dict('records')" if hasattr(clinical, "to_dict") else ""
        raise UsageError(
            f"clinical must be a mapping such as {{'age': 55}}, or one for each picture, got {type(clinical).__name__}"
            f"{hint}."
        )
    wanted, found = _length(images), _length(clinical)
    if wanted is not None and found is not None:
        if wanted != found:
            raise InputRejected(f"{wanted} images came with {found} sets of clinical values; give one for each.")
        for number, row in enumerate(clinical, 1):
            _values(row, f" of picture {number}")
    return _pairs(schema, images, clinical)


def _pairs(
    schema: ClinicalSchema, images: Iterable[Any], clinical: Iterable[Any]
) -> Iterator[tuple[Any, Patient | InputRejected]]:
    rows, number, end = iter(clinical), 0, object()
    for number, image in enumerate(images, 1):
        row = next(rows, end)
        if row is end:
            raise InputRejected(
                f"The clinical values end after {number - 1} of the pictures; give one mapping for each."
            )
        values = _values(row, f" of picture {number}")
        patient: Patient | InputRejected
        try:
            patient = read_patient(schema, values)
        except InputRejected as error:
            patient = error
        yield image, patient
    if next(rows, end) is not end:
        raise InputRejected(f"There are more sets of clinical values than the {number} pictures; give one for each.")


def _is_mapping(value: Any) -> bool:
    """Tell a mapping, or what behaves like one: a row of sqlite3, a series of pandas."""
    return isinstance(value, Mapping) or (hasattr(value, "keys") and getattr(value, "ndim", 1) == 1)


def _values(row: Any, whose: str) -> dict[str, Any]:
    if row is None:
        return {}
    if not _is_mapping(row):
        raise UsageError(
            f"The clinical values{whose} must be a mapping such as {{'age': 55}}, got {type(row).__name__}."
        )
    return {name: row[name] for name in row.keys()}  # noqa: SIM118, a row of sqlite3 iterates over its values


def _length(items: Any) -> int | None:
    try:
        return len(items)
    except TypeError:
        return None
