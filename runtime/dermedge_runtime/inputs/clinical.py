"""Clinical fields: their schema, and a patient's values -> the two arrays the model reads.

Covered: range checks, vocabularies with the nearest match in the message, other words for the same value, unknown as a
value of its own, and the names of what the model computes with. Not covered: imputation, scaling and one-hot encoding;
those are in the model's graph, fitted on its training split.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dermedge_runtime.errors import InputRejected

ClinicalValue: TypeAlias = float | str | None
"""A number for a numeric field, a word of the vocabulary for a categorical one, None for unknown."""

UNKNOWN = "unknown"
UNKNOWN_WORDS = frozenset({"", UNKNOWN, "nan", "na", "none"})
UNKNOWN_CATEGORY = -1
CATEGORY, IMPUTE = "category", "impute"
UNKNOWN_MODES = (CATEGORY, IMPUTE)
"""What a model makes of an unknown value: a feature of its own, or a value of its training data."""


def is_missing(value: object) -> bool:
    """Tell None and the missing values of numpy and pandas: NaN, NaT, NA; none of them equals itself."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except Exception:  # pandas' NA has no truth, a signalling NaN does not compare; so does an array, which is a value
        return type(value).__name__ in ("NAType", "Decimal")


def value_text(value: float | str) -> str:
    """Give one clinical value as text; a whole number without its fraction."""
    return value if isinstance(value, str) else f"{value:.10g}"


def _number(value: object) -> float:
    """Give a number or the text of one; infinity, which no field takes, for anything else that `float` would read."""
    if isinstance(value, bool | np.bool_ | np.datetime64 | np.timedelta64 | bytes) or getattr(value, "ndim", None):
        return math.inf
    if isinstance(value, str) and "_" in value:  # Python's own spelling of 1_000
        return math.inf
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return math.inf


@lru_cache(maxsize=512)  # the vocabulary is folded for every patient
def _fold(word: str) -> str:
    """Give a word without case, and however it was typed: full-width, decomposed, with odd blanks or underscores."""
    if not word.isascii():
        import unicodedata

        word = unicodedata.normalize("NFKC", word)
    return " ".join(word.lower().replace("_", " ").split())


def _check_synonyms(name: str, synonyms: Iterable[str], taken: Iterable[str]) -> None:
    """Refuse synonyms that are one to `_fold`, or that mean something without it.

    :param taken: folded words that mean something without them.
    :raises ValueError: the first of them.
    """
    seen = set(taken)
    for synonym in synonyms:
        word = _fold(synonym)
        if word in seen:
            raise ValueError(f"{name} has the synonym '{synonym}', which has a meaning already")
        seen.add(word)


@dataclass(frozen=True, slots=True)
class NumericField:
    """One number, such as the age."""

    name: str
    unit: str
    minimum: float
    maximum: float
    imputed: float | None = None
    """The number that the model computes with where it is unknown, in `unit`; None: none, or the file does not say."""
    synonyms: Mapping[str, float] = dataclass_field(default_factory=dict, compare=False)
    """Words that stand for a number, such as 85+, and that number in `unit`. The model reads the same without them."""

    def __post_init__(self) -> None:
        if self.imputed is not None and not math.isfinite(self.imputed):
            raise ValueError(f"{self.name} is imputed with {self.imputed}")
        _check_synonyms(self.name, self.synonyms, UNKNOWN_WORDS)
        for synonym, number in self.synonyms.items():
            if math.isfinite(_number(synonym)):
                raise ValueError(f"{self.name} has the synonym '{synonym}', which is a number itself")
            if not self.minimum <= number <= self.maximum:
                raise ValueError(f"{self.name} has the synonym '{synonym}' of {number}, which is out of its range")

    def parse(self, value: ClinicalValue) -> float:
        """Give the value in `unit`, or NaN for unknown, which NaN itself is too, as in tables.

        :raises InputRejected: no number and no synonym of one, or outside `minimum` to `maximum`.
        """
        if self.synonyms and isinstance(value, str):
            value = {_fold(word): number for word, number in self.synonyms.items()}.get(_fold(value), value)
        if is_missing(value) or (isinstance(value, str) and value.strip().lower() in UNKNOWN_WORDS):
            return math.nan
        number = _number(value)
        if math.isnan(number):
            return number
        if not self.minimum <= number <= self.maximum:
            raise InputRejected(
                f"{self.name} must be a number from {self.minimum:g} to {self.maximum:g} {self.unit}, got {value}."
                " Leave it out if it is unknown."
            )
        return number


@dataclass(frozen=True, slots=True)
class CategoricalField:
    """One word of a fixed vocabulary, such as the site of the lesion."""

    name: str
    vocabulary: tuple[str, ...]
    imputed: str | None = None
    """The word that the model computes with where it is unknown; None: none, or the file does not say."""
    synonyms: Mapping[str, str] = dataclass_field(default_factory=dict, compare=False)
    """Other words, and the word of the vocabulary that each means. The model reads the same without them."""

    def __post_init__(self) -> None:
        if self.imputed is not None and self.imputed not in self.vocabulary:
            raise ValueError(f"{self.name} is imputed with '{self.imputed}', which is not in its vocabulary")
        _check_synonyms(self.name, self.synonyms, map(_fold, self.vocabulary))
        for synonym, word in self.synonyms.items():
            if word not in self.vocabulary:
                raise ValueError(f"{self.name} has the synonym '{synonym}' of '{word}', which is not in its vocabulary")

    @property
    def unknown_word(self) -> int | None:
        """Index of the vocabulary's own word "unknown"; None where it has none."""
        words = [_fold(word) for word in self.vocabulary]
        return words.index(UNKNOWN) if UNKNOWN in words else None

    def parse(self, value: ClinicalValue) -> int:
        """Give the index into `vocabulary`, or -1 for unknown.

        :raises InputRejected: a word that is neither in the vocabulary nor a synonym; the message lists the vocabulary
            and names the nearest word.
        """
        if is_missing(value):
            return UNKNOWN_CATEGORY
        word = _fold(str(value))
        known = [_fold(entry) for entry in self.vocabulary]
        if word in known:
            return known.index(word)
        others = {_fold(synonym): synonym for synonym in self.synonyms}
        if word in others:
            return self.vocabulary.index(self.synonyms[others[word]])
        if word in UNKNOWN_WORDS:
            return UNKNOWN_CATEGORY
        import difflib  # only who has mistyped pays for it

        spelt = others | dict(zip(known, self.vocabulary, strict=True))
        near = difflib.get_close_matches(word, [*known, *others], n=1, cutoff=0.5)
        hint = f" Did you mean '{spelt[near[0]]}'?" if near else ""
        raise InputRejected(
            f"{self.name} '{value}' is not in the vocabulary: {', '.join(self.vocabulary)}.{hint}"
            " Leave it out if it is unknown."
        )


ClinicalField: TypeAlias = NumericField | CategoricalField


@dataclass(frozen=True, slots=True)
class ClinicalSchema:
    """The clinical fields a model reads; the order of the fields is the order of the columns."""

    numeric: tuple[NumericField, ...] = ()
    categorical: tuple[CategoricalField, ...] = ()
    unknown: str = IMPUTE
    """One of `UNKNOWN_MODES`."""

    def __post_init__(self) -> None:
        if self.unknown not in UNKNOWN_MODES:
            raise ValueError(f"unknown is '{self.unknown}', known are {', '.join(UNKNOWN_MODES)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all fields, numeric first."""
        return tuple(field.name for field in self.fields)

    @property
    def fields(self) -> tuple[ClinicalField, ...]:
        """All fields, numeric first."""
        return (*self.numeric, *self.categorical)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the F encoded features: each number, then one per word of each vocabulary.

        With `CATEGORY` an indicator of every number follows the numbers, and each vocabulary ends with a feature for
        unknown, unless it has that word itself.
        """
        names = [field.name for field in self.numeric]
        if self.unknown == CATEGORY:
            names += [f"{field.name}={UNKNOWN}" for field in self.numeric]
        for field in self.categorical:
            names += [f"{field.name}={word}" for word in field.vocabulary]
            if self.unknown == CATEGORY and field.unknown_word is None:
                names.append(f"{field.name}={UNKNOWN}")
        return tuple(names)

    def imputed(self, unknown: Iterable[str]) -> dict[str, ClinicalValue]:
        """Tell which values the model computes with for a patient of whom these fields are unknown, by field.

        :return: empty for a model to which unknown is a feature of its own; None as a value where the file does not
            say which value it computes with.
        """
        values = {field.name: field.imputed for field in self.fields}
        return {} if self.unknown == CATEGORY else {name: values[name] for name in unknown}

    def with_imputed(self, values: Mapping[str, float | str]) -> ClinicalSchema:
        """Give the schema with the values that its model computes with where they are unknown.

        :param values: by field, a word as the vocabulary has it; a field that is not among them is as it was.
        :raises InputRejected: a field the schema lacks.
        :raises ValueError: a value that is no finite number, or no word of the field's vocabulary.
        """
        self._check_names(values)
        numbers = (replace(f, imputed=float(values[f.name])) if f.name in values else f for f in self.numeric)
        words = (replace(f, imputed=str(values[f.name])) if f.name in values else f for f in self.categorical)
        return replace(self, numeric=tuple(numbers), categorical=tuple(words))

    def encode(self, patients: Iterable[Mapping[str, ClinicalValue]]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Turn patients into the model's inputs.

        :return: numeric float32 [B, Nn] with NaN for unknown, categorical int32 [B, Nc] with -1 for unknown.
        :raises InputRejected: a field the schema lacks, or a value `parse` rejects.
        """
        rows = list(patients)
        for row in rows:
            self._check_names(row)
        numeric = [[field.parse(row.get(field.name)) for field in self.numeric] for row in rows]
        categorical = [[field.parse(row.get(field.name)) for field in self.categorical] for row in rows]
        return (
            np.asarray(numeric, dtype=np.float32).reshape(len(rows), len(self.numeric)),
            np.asarray(categorical, dtype=np.int32).reshape(len(rows), len(self.categorical)),
        )

    def _check_names(self, row: Mapping[str, ClinicalValue]) -> None:
        for name in row:
            if name not in self.names:
                known = f"it reads {', '.join(self.names)}" if self.names else "it reads the image alone"
                raise InputRejected(f"This model has no clinical field '{name}'; {known}.")
