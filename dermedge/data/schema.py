"""What a data set looks like: its table, pictures, classes and clinical fields, as a schema file says it.

Not covered: reading a schema file (`schema_file`) and reading a data set with one (`samples`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import (
    IMPUTE,
    UNKNOWN_WORDS,
    CategoricalField,
    ClinicalField,
    ClinicalSchema,
    ClinicalValue,
    NumericField,
)

from .schema_entries import ImageRule, TableRule
from .spelling import NUMBER, fold

PAPER = "paper"
"""The protocol that also reads fields which are not known before the diagnosis."""


@dataclass(frozen=True, slots=True)
class TableField:
    """A clinical field, and where and how the table has it."""

    field: ClinicalField
    column: str
    synonyms: Mapping[str, str | float]
    """Other words of the table, folded, and the number or the word of the vocabulary that each of them means."""
    paper_only: bool
    """Not known before the diagnosis: the model reads it in the `paper` protocol alone."""

    def read(self, text: str, unknown: frozenset[str], decimal: str = ".") -> ClinicalValue:
        """Give the value of a cell, or None for unknown.

        :param unknown: folded words that mean unknown, besides those of the runtime.
        :param decimal: the decimal sign of the table.
        :raises InputRejected: no number, outside the range, or outside the vocabulary.
        """
        word = fold(text)
        if word in unknown:
            return None
        meant = self.synonyms.get(word, word)
        if not isinstance(meant, str):
            return meant
        if isinstance(self.field, NumericField):
            return None if word in UNKNOWN_WORDS else self._number(self.field, text.strip(), decimal)
        word = fold(meant)
        same = next((entry for entry in self.field.vocabulary if fold(entry) == word), None)
        if same is not None:
            return same
        if word in UNKNOWN_WORDS:
            return None
        try:
            index = self.field.parse(text)
        except InputRejected as error:
            raise InputRejected(f"{error} Or make it a synonym, in the schema.") from None
        return None if index < 0 else self.field.vocabulary[index]

    def _number(self, field: NumericField, text: str, decimal: str) -> float:
        pointed = text if decimal == "." else text.replace(".", "?").replace(decimal, ".")
        if NUMBER.fullmatch(pointed) is None:
            hint = ""
            if decimal == "." and NUMBER.fullmatch(text.replace(",", ".")):
                hint = ' A table with decimal commas says so in its schema: decimal = "," in [table].'
            raise InputRejected(
                f"{self.field.name} must be a number from {field.minimum:g} to {field.maximum:g} {field.unit},"
                f" got {text}. Leave it out if it is unknown.{hint}"
            )
        return field.parse(pointed)


@dataclass(frozen=True, slots=True)
class DataSchema:
    """Everything that must be known to read one data set and to name what a model trained on it says."""

    name: str
    published: str
    """Where to get it; empty: it is not published."""
    licence: str
    """Empty: not stated."""
    class_names: Mapping[str, str]
    """Names of the classes by code, in the order of the model's outputs."""
    diagnoses: Mapping[str, str]
    """Folded words of the diagnosis column, the codes among them, and the code that each of them means."""
    skip_diagnoses: frozenset[str]
    """Folded words of the diagnosis column whose rows are left out."""
    melanoma: str | None
    """Code of melanoma, whose recall is watched; None: no class is melanoma alone."""
    urgent: tuple[str, ...]
    """Codes of the classes that a doctor must see soon; empty: the schema names none."""
    fields: tuple[TableField, ...]
    unknown: frozenset[str]
    """Folded words that mean unknown in any clinical column, besides those of the runtime."""
    table: TableRule
    images: ImageRule
    record: Mapping[str, Any] = field(repr=False, compare=False)
    """The schema file as it was read; JSON-ready."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Codes of the classes, in the order of the model's outputs."""
        return tuple(self.class_names)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that is read, each once; those of the diagnosis may be in a table of their own."""
        table = self.table
        own = (table.image, *table.group, *table.group_fallback, *table.diagnosis_columns)
        return tuple(dict.fromkeys((*own, *(entry.column for entry in self.fields))))

    @property
    def optional_columns(self) -> frozenset[str]:
        """Columns that a table may lack: those of the group for which another one stands in."""
        table = self.table
        others = (table.image, *table.diagnosis_columns, *(entry.column for entry in self.fields))
        replaced = (*table.group, *table.group_fallback)[: -1 if table.group_fallback else 0]
        return frozenset(replaced) - frozenset((*others, *table.group_fallback[-1:]))

    def clinical(self, protocol: str, unknown: str = IMPUTE) -> ClinicalSchema:
        """Clinical fields that a protocol lets the model read.

        :param unknown: one of the runtime's `UNKNOWN_MODES`; decides the features, not the fields.
        """
        fields = [entry.field for entry in self.fields if protocol == PAPER or not entry.paper_only]
        return ClinicalSchema(
            numeric=tuple(each for each in fields if isinstance(each, NumericField)),
            categorical=tuple(each for each in fields if isinstance(each, CategoricalField)),
            unknown=unknown,
        )

    @property
    def where_to_get_it(self) -> str:
        """How to come by the data, for messages."""
        one_folder = "so that the metadata table and the image folders lie in one folder, given with --data"
        if self.published:
            return (
                f"{self.name} is published at {self.published} (unpack it {one_folder}); `dermedge demo` needs no data."
            )
        return f"Lay {self.name} out {one_folder}; `dermedge demo` needs no data."

    @property
    def licence_of_weights(self) -> str:
        """What a model file says about its licence."""
        stated = self.licence or "not stated"
        return f"The weights follow the licence of their training data. {self.name}: {stated}"
