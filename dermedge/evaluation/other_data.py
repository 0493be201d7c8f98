"""Another data set as a model file sees it: its classes and clinical fields under the model's names.

What the model does not know is counted, never guessed: classes that are none of the model's, fields that only one of
them has, words outside the model's vocabulary. Not covered: reading the data set (`dermedge.data`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dermedge.data.groups import groups_of
from dermedge.data.samples import Sample, read_samples
from dermedge.data.schema import DataSchema, TableField
from dermedge.data.spelling import fold
from dermedge_runtime.commands.option_types import nearest
from dermedge_runtime.errors import InputRejected, UsageError
from dermedge_runtime.inputs.clinical import ClinicalField, ClinicalValue, NumericField
from dermedge_runtime.model.description import ModelSpec


@dataclass(frozen=True, slots=True)
class OtherData:
    """Photographs that a model can be scored on, and what became of the rest of the data set."""

    schema: DataSchema = field(repr=False)
    """Of the data set, with the fields that are read alone."""
    samples: Sequence[Sample] = field(repr=False)
    """Labels are indices into the model's classes, clinical values those that the model knows, by its field names."""
    classes: Mapping[str, str]
    """Code of the data set to code of the model."""
    left_out: Mapping[str, int]
    """Photographs of the other classes, by the data set's code."""
    fields: Mapping[str, str]
    """Field of the data set to field of the model."""
    unknown_fields: Sequence[str]
    """Fields of the model that the data set has not: unknown of every patient."""
    unknown_words: Mapping[str, Mapping[str, int]]
    """Values that the model does not take and that count as unknown, with their photographs, by field of the model."""

    @property
    def melanoma(self) -> str | None:
        """The model's code of what the data set calls melanoma; None where it names none, or it is left out."""
        return self.classes.get(self.schema.melanoma) if self.schema.melanoma else None

    def to_record(self) -> dict[str, Any]:
        """Give what `metrics.json` holds."""
        return {
            "name": self.schema.name,
            "images": len(self.samples),
            "group": self.schema.table.group_name,
            "groups": len(set(groups_of(self.samples))),
            "classes": dict(self.classes),
            "left_out": dict(self.left_out),
            "fields": dict(self.fields),
            "unknown_fields": list(self.unknown_fields),
            "unknown_words": {name: dict(words) for name, words in self.unknown_words.items()},
        }

    def to_text(self) -> str:
        """Say what became of the data set: a line each for pictures, classes, fields and words."""
        record, group = self.to_record(), self.schema.table.group_name
        lines = [f"{self.schema.name}: {record['images']} pictures, {record['groups']} {group}s"]
        lines.append(f"classes: {_paired(self.classes)}")
        if self.left_out:
            counts = ", ".join(f"{code} ({count})" for code, count in self.left_out.items())
            lines[-1] += f"; left out with their pictures, as no class of the model: {counts}"
        if self.fields or self.unknown_fields:
            lines.append(f"clinical fields: {_paired(self.fields) or 'none'}")
            if self.unknown_fields:
                lines[-1] += f"; unknown of every patient: {', '.join(self.unknown_fields)}"
        for name, words in self.unknown_words.items():
            counts = ", ".join(f"{word} ({count})" for word, count in words.items())
            lines.append(f"{name}: counted as unknown, because the model does not take it: {counts}")
        return "\n".join(lines)


def read_other_data(
    folder: Path | None,
    schema: DataSchema,
    spec: ModelSpec,
    *,
    classes: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    allow_missing_images: bool = False,
) -> OtherData:
    """Read a data set for a model.

    :param classes: the data set's codes and the model's; every other class is left out. None: by equal code.
    :param fields: the data set's fields and the model's; every other field goes by its name.
    :raises UsageError: a class or field that one of them does not have, or no class in common.
    :raises InputRejected: the data cannot be read, or hold no photograph of these classes.
    """
    by_class = class_map(schema, spec.classes, classes)
    by_field = field_map(schema, spec.clinical.fields, fields or {})
    # Only what the model reads: a word or an empty column that it never sees is no reason to refuse a table.
    needed = replace(schema, fields=tuple(entry for entry in schema.fields if entry.field.name in by_field))
    samples = read_samples(folder, needed, allow_missing_images=allow_missing_images)
    codes = [schema.classes[sample.label] for sample in samples]
    left_out = Counter(code for code in codes if code not in by_class)
    chosen = [(sample, by_class[code]) for sample, code in zip(samples, codes, strict=True) if code in by_class]
    if not chosen:
        named = ", ".join(f"{code} ({count})" for code, count in left_out.items())
        raise InputRejected(
            f"{schema.name} holds no picture of {', '.join(by_class)}; there are {named}."
            " Map one of them with --classes THEIRS=OURS."
        )
    known = {each.name: each for each in spec.clinical.fields}
    unknown: dict[str, Counter[str]] = {}
    mapped = [
        replace(
            sample,
            label=spec.classes.index(code),
            clinical=_known(sample.clinical, {name: known[ours] for name, ours in by_field.items()}, unknown),
        )
        for sample, code in chosen
    ]
    absent = [name for name in known if name not in by_field.values()]
    ordered = {name: dict(unknown[name].most_common()) for name in known if name in unknown}
    return OtherData(needed, mapped, by_class, dict(left_out.most_common()), by_field, absent, ordered)


def class_map(schema: DataSchema, ours: Sequence[str], given: Mapping[str, str] | None) -> dict[str, str]:
    """Give the data set's codes and the model's that they stand for, as both spell them.

    :param given: None: codes that are equal, case aside.
    :raises UsageError: a code that one of them does not have, one that is named twice, or no class in common.
    """
    if given is None:
        own = {fold(code): code for code in ours}
        found = {code: own[fold(code)] for code in schema.classes if fold(code) in own}
    else:
        found = _pairs("class", given, schema, ours, schema.classes)
    if not found:
        raise UsageError(
            f"No class of {schema.name} ({', '.join(schema.classes)}) is called as one of the model's"
            f" ({', '.join(ours)}). Say which is which with --classes THEIRS=OURS,..."
        )
    return found


def field_map(schema: DataSchema, ours: Sequence[ClinicalField], given: Mapping[str, str]) -> dict[str, str]:
    """Give the data set's fields and the model's that they stand for; equal names are one field.

    A number in another unit is another field.

    :param given: pairs of other names.
    :raises UsageError: a field that one of them does not have, one that is named twice, or two in different units.
    """
    theirs, known = {each.field.name: each for each in schema.fields}, {each.name: each for each in ours}
    named = _pairs("field", given, schema, tuple(known), tuple(theirs))
    for name, target in named.items():
        if _units_differ(theirs[name], known[target]):
            raise UsageError(f"The field {name} of {schema.name} has another unit than {target} of the model.")
    if len(set(named.values())) < len(named):
        raise UsageError(f"Two fields of {schema.name} are given for one of the model. Name one of them.")
    equal = {
        name: name
        for name, entry in theirs.items()
        if name in known and name not in named and name not in named.values() and not _units_differ(entry, known[name])
    }
    return {name: (named | equal)[name] for name in theirs if name in named or name in equal}


def _units_differ(theirs: TableField, ours: ClinicalField) -> bool:
    numbers = isinstance(theirs.field, NumericField) and isinstance(ours, NumericField)
    return numbers and theirs.field.unit != ours.unit  # type: ignore[union-attr]


def _pairs(
    kind: str, given: Mapping[str, str], schema: DataSchema, ours: Iterable[str], theirs: Iterable[str]
) -> dict[str, str]:
    """Give pairs as the data set and the model spell them."""
    found: dict[str, str] = {}
    for one, other in given.items():
        name = _spelt(kind, one, schema.name, tuple(theirs))
        if name in found:
            raise UsageError(f"The {kind} {name} of {schema.name} is named twice. Name it once.")
        found[name] = _spelt(kind, other, "the model", tuple(ours))
    return found


def _spelt(kind: str, word: str, whose: str, known: Sequence[str]) -> str:
    same = next((each for each in known if fold(each) == fold(word)), None)
    if same is None:
        there = ", ".join(known) or "none"
        raise UsageError(f"There is no {kind} '{word}' in {whose}; known are {there}{nearest(word, known)}")
    return same


def _known(
    values: Mapping[str, ClinicalValue], fields: Mapping[str, ClinicalField], unknown: dict[str, Counter[str]]
) -> dict[str, ClinicalValue]:
    """Give one patient's values that the model takes, by its field names; count the others."""
    found: dict[str, ClinicalValue] = {}
    for name, value in values.items():
        ours = fields[name]
        try:
            ours.parse(value)
        except InputRejected:
            unknown.setdefault(ours.name, Counter())[f"{value:g}" if isinstance(value, float) else str(value)] += 1
        else:
            found[ours.name] = value
    return found


def _paired(names: Mapping[str, str]) -> str:
    return ", ".join(theirs if theirs == ours else f"{theirs} = {ours}" for theirs, ours in names.items())
