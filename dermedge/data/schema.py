"""What a data set looks like: its table, pictures, classes and clinical fields, as a schema file says it.

Not covered: reading a schema file (`schema_file`) and reading a data set with one (`samples`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dermedge_runtime.clinical import CategoricalField, ClinicalField, ClinicalSchema, ClinicalValue, NumericField

PAPER = "paper"
"""The protocol that also reads fields which are not known before the diagnosis."""


def fold(text: str) -> str:
    """Give the form in which words of a table are compared, the runtime's too: no case, "_" is a space."""
    return text.strip().lower().replace("_", " ")


@dataclass(frozen=True, slots=True)
class TableField:
    """A clinical field, and where and how the table has it."""

    field: ClinicalField
    column: str
    synonyms: Mapping[str, str]
    """Other words of the table, folded, and the word of the vocabulary that each of them means."""
    paper_only: bool
    """Not known before the diagnosis: the model reads it in the `paper` protocol alone."""

    def read(self, text: str, unknown: frozenset[str]) -> ClinicalValue:
        """Give the value of a cell, or None for unknown.

        :param unknown: folded words that mean unknown, besides those of the runtime.
        :raises InputRejected: no number, outside the range, or outside the vocabulary.
        """
        word = fold(text)
        if word in unknown:
            return None
        if isinstance(self.field, NumericField):
            number = self.field.parse(text)
            return None if math.isnan(number) else number
        index = self.field.parse(self.synonyms.get(word, text))
        return None if index < 0 else self.field.vocabulary[index]


@dataclass(frozen=True, slots=True)
class TableRule:
    """Where the metadata table is and what its columns mean."""

    files: tuple[str, ...]
    """Names of the table; the first that the data folder has is read."""
    delimiter: str
    """One character; empty: tab where the header has one, else comma."""
    image: str
    """Column with the picture's name, with or without its ending."""
    diagnosis: str
    group: tuple[str, ...]
    """Columns whose values together name what must stay on one side of a split."""
    group_name: str
    """What that is, in the singular: lesion, patient."""


@dataclass(frozen=True, slots=True)
class ImageRule:
    """Which files are the pictures."""

    skip_folders: tuple[str, ...]
    """Folders whose name contains one of these words, whatever its case, hold no pictures."""
    first_copy: bool
    """Of several files with one name take the first, because they are copies; otherwise they are an error."""
    masks: str
    """Folder of lesion masks, named as the pictures with `_segmentation.png`; empty: none."""


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
    melanoma: str | None
    """Code of melanoma, whose recall is watched; None: no class is melanoma alone."""
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
        """Every column that the table must have, each once."""
        table = self.table
        named = (table.image, *table.group, table.diagnosis, *(entry.column for entry in self.fields))
        return tuple(dict.fromkeys(named))

    def clinical(self, protocol: str) -> ClinicalSchema:
        """Clinical fields that a protocol lets the model read."""
        fields = [entry.field for entry in self.fields if protocol == PAPER or not entry.paper_only]
        return ClinicalSchema(
            numeric=tuple(each for each in fields if isinstance(each, NumericField)),
            categorical=tuple(each for each in fields if isinstance(each, CategoricalField)),
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
