"""The keys of a schema file as pydantic models: their kinds, their limits, and how they may not contradict each other.

Not covered: reading the file (`schema_file`), and the sentences about its faults (there too).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from dermedge_runtime.inputs.clinical import UNKNOWN_WORDS, CategoricalField, NumericField

from .spelling import NUMBER, fold

_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAKEN = ("image", "target")
"""Names of `Classifier.predict`'s own parameters."""


def _about_key(reason: str, before: str = "") -> PydanticCustomError:
    """Make the error of one key.

    :param reason: what follows the key's name, such as "must be one word".
    :param before: what comes before it.
    """
    return PydanticCustomError("about_key", "{reason}", {"reason": reason, "before": before})


def _refuse(reasons: Iterable[str]) -> None:
    """Refuse a table of the file whose keys contradict each other.

    :param reasons: whole sentences without their full stops; nothing happens without any.
    :raises PydanticCustomError: for all of them.
    """
    if told := list(reasons):
        raise PydanticCustomError("contradictions", "{reasons}", {"reasons": told})


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _must(holds: Callable[[str], object], reason: str) -> AfterValidator:
    """Refuse a text that does not hold; `{}` in the reason stands for it."""

    def check(text: str) -> str:
        if not holds(text):
            raise _about_key(reason.format(text))
        return text

    return AfterValidator(check)


def _different(minimum: int) -> AfterValidator:
    """Refuse fewer words than the minimum, empty ones, and two that mean the same in a table."""

    def check(words: Any) -> Any:
        counts = Counter(fold(word) for word in words)
        if len(counts) < minimum or "" in counts:
            raise _about_key(f"must hold {minimum} or more words, none of them empty")
        if twice := [word for word, count in counts.items() if count > 1]:
            raise _about_key(f"holds '{twice[0]}' more than once, case and _ aside")
        return words

    return AfterValidator(check)


def _first_spelling(words: Iterable[str]) -> dict[str, str]:
    """Give every folded word as it is spelt where it comes first; of words that fold to one the first is enough."""
    return {fold(word): word for word in reversed(list(words))}


def _names_apart(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Refuse names of a table that become one when they are read."""
    taken = read(value)
    if len(taken) < len(value):
        raise _about_key("differ in spaces or in the encoding of an accent alone", before="two names in ")
    return taken


_Text = Annotated[str, StringConstraints(strict=True, strip_whitespace=True), AfterValidator(_composed)]
"""Without spaces around it, accents composed; may be empty."""
_Word = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1), AfterValidator(_composed)]
_Words = Annotated[tuple[_Text, ...], Field(min_length=1)]
_Names = Annotated[dict[_Text, _Text], WrapValidator(_names_apart)]
_Flag = Annotated[bool, Field(strict=True)]
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_FileName = Annotated[
    _Text, _must(lambda name: name and Path(name).name == name, "must be a name without a folder, found '{}'")
]
_GroupName = Annotated[_Word, _must(_IDENTIFIER.fullmatch, "must be one word such as lesion or patient, found '{}'")]
_FieldName = Annotated[
    _Word,
    _must(
        lambda name: _IDENTIFIER.fullmatch(name) and name not in _TAKEN,
        f"is '{{}}'; a field's name is letters, digits and _, and not {' or '.join(_TAKEN)}",
    ),
]
_PartOfName = Annotated[
    _Text, _must(bool, "must not be an empty text, which every folder's name contains"), AfterValidator(str.lower)
]


class _Table(BaseModel):
    """A table of the file. A key that it does not know is a fault: a misspelt one must not be passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TableRule(_Table):
    """Where the metadata table is and what its columns mean."""

    files: Annotated[tuple[_FileName, ...], Field(min_length=1)]
    """Names of the table; the first that the data folder has is read."""
    delimiter: Annotated[str, StringConstraints(strict=True, pattern=r'^[^"\r\n]?$')] = ""
    """One character; empty: tab, comma or semicolon, whichever parts the header into the columns."""
    truth_files: tuple[_FileName, ...] = ()
    """Tables that have the diagnoses instead, one for each of `files`; their images have a column of the same name."""
    image: _Word
    """Column with the picture's name, with or without its ending."""
    one_hot: Annotated[tuple[_Text, ...], _different(2)] = ()
    """Columns that are called as the diagnoses, of which the one that applies holds 1 and the others 0."""
    diagnosis: Annotated[_Word | None, Field(validate_default=True)] = None
    """Column with the diagnosis in a word; None: `one_hot` has it."""
    diagnosis_fallback: tuple[_Word, ...] = ()
    """Columns that are read, one after the other, where that of the diagnosis is empty."""
    group: _Words
    """Columns whose values together name what must stay on one side of a split."""
    group_fallback: tuple[_Word, ...] = ()
    """Columns of which the first with an id names it where one of `group` is absent, empty or names nothing."""
    group_name: _GroupName
    """What that is, in the singular: lesion, patient."""
    decimal: _Text = "."
    """Decimal sign of its numbers, a point or a comma."""

    @field_validator("truth_files")
    @classmethod
    def _one_for_each(cls, names: tuple[str, ...], others: ValidationInfo) -> tuple[str, ...]:
        wanted = len(others.data.get("files", names))
        if names and len(names) != wanted:
            raise _about_key(f"must name one table for each of table.files, {wanted}, found {len(names)}")
        return names

    @field_validator("diagnosis")
    @classmethod
    def _this_or_one_hot(cls, column: str | None, others: ValidationInfo) -> str | None:
        if column is None and others.data.get("one_hot") == ():
            raise PydanticKnownError("missing")
        if column is not None and others.data.get("one_hot"):
            raise _about_key("and table.one_hot both say where the diagnosis is; leave one out")
        return column

    @field_validator("diagnosis_fallback", "group_fallback")
    @classmethod
    def _after_the_first(cls, columns: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.field_name == "diagnosis_fallback":
            if columns and info.data.get("one_hot"):
                raise _about_key("stands in for table.diagnosis, and the diagnosis is in table.one_hot")
            before = (info.data.get("diagnosis"),)
        else:
            before = info.data.get("group", ())
        if twice := [name for place, name in enumerate(columns) if name in (*before, *columns[:place])]:
            raise _about_key(f"names '{twice[0]}', which is read before it")
        return columns

    @property
    def diagnosis_columns(self) -> tuple[str, ...]:
        """Every column that the diagnosis is read from."""
        return self.one_hot or (*((self.diagnosis,) if self.diagnosis else ()), *self.diagnosis_fallback)

    @field_validator("decimal")
    @classmethod
    def _another_sign(cls, decimal: str, others: ValidationInfo) -> str:
        if decimal not in (".", ",") or decimal == others.data.get("delimiter"):
            raise _about_key(f"must be . or , and another sign than the delimiter, found '{decimal}'")
        return decimal


class ImageRule(_Table):
    """Which files are the pictures."""

    skip_folders: tuple[_PartOfName, ...] = ()
    """Folders whose name contains one of these words, whatever its case, hold no pictures."""
    first_copy: _Flag = False
    """Of no effect since copies are known by their bytes; schemas of earlier runs have it."""
    masks: _Text = ""
    """Folder of lesion masks, named as the pictures with `_segmentation.png`; empty: none."""


class _Field(_Table):
    name: _FieldName
    column: _Word | None = None
    """None: it is called as the field is."""
    paper_only: _Flag = False

    @property
    def words(self) -> tuple[str, ...]:
        """The vocabulary; a number has none."""
        return ()

    def other_words(self) -> Mapping[str, str | float]:
        """Give the synonyms, and the number or the word of the vocabulary that each of them means."""
        return {}


class NumericEntry(_Field):
    """A field that is a number."""

    kind: Literal["numeric"]
    unit: _Word
    minimum: _Number
    maximum: _Number
    synonyms: Annotated[dict[_Text, _Number], WrapValidator(_names_apart)] = Field(default_factory=dict)
    """Words that stand for a number."""

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        if self.minimum >= self.maximum:
            _refuse([f"the field {self.name} has the minimum {self.minimum:g} and the maximum {self.maximum:g}"])
        _refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[str]:
        meanings: dict[str, float] = {}
        for synonym, number in self.synonyms.items():
            word = fold(synonym)
            if NUMBER.fullmatch(word) or NUMBER.fullmatch(word.replace(",", ".")):
                yield f"the field {self.name} has the synonym '{synonym}', which is a number itself"
            elif word in UNKNOWN_WORDS:
                yield f"the field {self.name} has the synonym '{synonym}', which means unknown"
            elif not self.minimum <= number <= self.maximum:
                yield (
                    f"the field {self.name} has the synonym '{synonym}' of {number:g},"
                    f" which is not from {self.minimum:g} to {self.maximum:g}"
                )
            elif meanings.setdefault(word, number) != number:
                yield f"in the field {self.name} '{synonym}' means both {meanings[word]:g} and {number:g}"

    def field(self) -> NumericField:
        """Give the field as the runtime knows it."""
        return NumericField(self.name, self.unit, self.minimum, self.maximum, synonyms=self.other_words())

    def other_words(self) -> dict[str, float]:
        """Give the synonyms, and the number that each of them means."""
        spelt = _first_spelling(self.synonyms)
        return {spelt[fold(word)]: number for word, number in self.synonyms.items()}


class _WordEntry(_Field):
    synonyms: _Names = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_synonyms(self) -> Self:
        _refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[str]:
        own = {fold(word): word for word in self.words}
        meanings = dict(own)
        for synonym, word in self.synonyms.items():
            meant = own.get(fold(word))
            if meant is None:
                yield (
                    f"the field {self.name} has the synonym '{synonym}' of '{word}',"
                    f" which is not in its vocabulary: {', '.join(self.words)}"
                )
            elif meanings.setdefault(fold(synonym), meant) != meant:
                yield f"in the field {self.name} '{synonym}' means both {meanings[fold(synonym)]} and {word}"

    def field(self) -> CategoricalField:
        """Give the field as the runtime knows it."""
        return CategoricalField(self.name, self.words, synonyms=self.other_words())

    def other_words(self) -> dict[str, str]:
        """Give the synonyms that are no words of the vocabulary, and the word that each of them means."""
        own = {fold(word): word for word in self.words}
        spelt = _first_spelling(self.synonyms)
        return {spelt[fold(other)]: own[fold(w)] for other, w in self.synonyms.items() if fold(other) not in own}


class CategoricalEntry(_WordEntry):
    """A field with a vocabulary of its own."""

    kind: Literal["categorical"]
    vocabulary: Annotated[_Words, _different(1)]

    @property
    def words(self) -> tuple[str, ...]:
        """The vocabulary."""
        return self.vocabulary


class BooleanEntry(_WordEntry):
    """A field that is true or false."""

    kind: Literal["boolean"]

    @property
    def words(self) -> tuple[str, ...]:
        """The vocabulary."""
        return ("false", "true")


class SchemaEntries(_Table):
    """A whole schema file."""

    name: _Word
    published: _Text = ""
    licence: _Text = ""
    classes: Annotated[_Names, _different(2)]
    diagnoses: _Names = Field(default_factory=dict)
    skip_diagnoses: tuple[_Text, ...] = ()
    """Words of the diagnosis column whose rows are left out; an empty one stands for an empty cell."""
    melanoma: _Text = ""
    urgent: tuple[_Text, ...] = ()
    unknown: tuple[_Text, ...] = ()
    table: TableRule
    images: ImageRule = ImageRule()
    fields: tuple[Annotated[NumericEntry | CategoricalEntry | BooleanEntry, Field(discriminator="kind")], ...]
    """Empty: there is nothing but pictures, which is written as `fields = []`."""

    @model_validator(mode="after")
    def _check_whole(self) -> Self:
        _refuse([*self._about_classes(), *self._about_diagnoses(), *self._about_fields()])
        return self

    def _about_classes(self) -> Iterator[str]:
        known = self._known_classes()
        if self.melanoma and self.melanoma not in self.classes:
            yield f"melanoma is '{self.melanoma}', {known}"
        yield from (f"urgent has '{code}', {known}" for code in self.urgent if code not in self.classes)
        if self.urgent and set(self.urgent) >= set(self.classes):
            yield "urgent has every class, so that nothing could be routine"

    def _known_classes(self) -> str:
        return f"which is not among the classes {', '.join(self.classes)}"

    def _about_diagnoses(self) -> Iterator[str]:
        known = self._known_classes()
        meanings = {fold(code): code for code in self.classes}
        for word, code in self.diagnoses.items():
            if code not in self.classes:
                yield f"diagnoses.{word} is '{code}', {known}"
            elif meanings.setdefault(fold(word), code) != code:
                yield f"the diagnosis '{word}' means both {meanings[fold(word)]} and {code}"
        for word in self.skip_diagnoses:
            if fold(word) in meanings:
                yield f"the diagnosis '{word}' means {meanings[fold(word)]}, and is left out by skip_diagnoses"
        skipped = {fold(word) for word in self.skip_diagnoses}
        for column in self.table.one_hot:
            if fold(column) not in meanings and fold(column) not in skipped:
                yield f"table.one_hot names '{column}', which is no class, and neither in diagnoses nor skip_diagnoses"

    def _about_fields(self) -> Iterator[str]:
        counts = Counter(field.name for field in self.fields)
        yield from (f"two fields are called '{name}'" for name, count in counts.items() if count > 1)
        unknown = {fold(word) for word in self.unknown}
        for field in self.fields:
            if (column := field.column or field.name) in self.table.diagnosis_columns:
                yield f"the field {field.name} reads the column of the diagnosis, '{column}'"
            if both := sorted(unknown & {fold(word) for word in (*field.words, *field.other_words())}):
                yield f"in the field {field.name} '{both[0]}' is a word or a synonym, and means unknown"
        if self.fields and all(field.paper_only for field in self.fields):
            yield "every field is paper_only, so that the default protocol has none to read"

    def code_of_word(self) -> dict[str, str]:
        """Give every folded word of the diagnosis column, and the code of the class that it means."""
        return {fold(code): code for code in self.classes} | {fold(word): c for word, c in self.diagnoses.items()}


MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    (): SchemaEntries,
    ("table",): TableRule,
    ("images",): ImageRule,
    ("fields", "numeric"): NumericEntry,
    ("fields", "categorical"): CategoricalEntry,
    ("fields", "boolean"): BooleanEntry,
}
"""The model of each table of the file, by its place; an entry of a list goes by its kind."""
