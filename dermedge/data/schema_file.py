"""Read a schema file, a shipped one or a clinic's own: TOML, checked whole before any data is read."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import CategoricalField, ClinicalField, NumericField

from .checked_table import CheckedTable
from .schema import DataSchema, ImageRule, TableField, TableRule, fold

_SUFFIX = ".toml"
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAKEN = ("image", "target")
"""Names of `Classifier.predict`'s own parameters."""
_TRUTH = ("false", "true")


def shipped_schemas() -> tuple[str, ...]:
    """Names of the schemas that dermedge ships."""
    folder = files("dermedge.data") / "schemas"
    return tuple(sorted(Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(_SUFFIX)))


def load_schema(name: str) -> DataSchema:
    """Read a schema by the name of a shipped one, or by the path of a file that ends in .toml.

    :raises InputRejected: there is no such schema, or it is no TOML, lacks a key, or contradicts itself.
    """
    if name.lower().endswith(_SUFFIX):
        try:
            return parse_schema(Path(name).read_bytes(), name)
        except OSError as error:
            raise InputRejected(f"The schema {name} cannot be read: {error.strerror or error}.") from error
    known = shipped_schemas()
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.4)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise InputRejected(
            f"There is no schema '{name}'; dermedge ships {', '.join(known)}.{hint}"
            f" A schema of your own is given by its path, which ends in {_SUFFIX}."
        )
    return parse_schema((files("dermedge.data") / "schemas" / f"{name}{_SUFFIX}").read_bytes(), name)


def parse_schema(content: bytes, source: str) -> DataSchema:
    """Read the content of a schema file.

    :param source: its name, for messages.
    :raises InputRejected: as `load_schema`.
    """
    try:
        record = tomllib.loads(content.decode("utf-8-sig"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InputRejected(f"The schema {source} is no TOML file: {error}.") from error
    return schema_from_record(record, source)


def schema_from_record(record: Mapping[str, Any], source: str) -> DataSchema:
    """Check a schema that was read from TOML, or from the JSON of a run.

    :raises InputRejected: a key is missing, unknown or of a wrong kind, or the schema contradicts itself.
    """
    whole = CheckedTable(record, source)
    class_names = whole.mapping("classes", required=True)
    _check_words(whole, "classes", class_names, minimum=2)
    melanoma = whole.text("melanoma", "") or None
    if melanoma is not None and melanoma not in class_names:
        whole.reject(f"melanoma is '{melanoma}', which is not among the classes {', '.join(class_names)}")
    unknown = frozenset(fold(word) for word in whole.texts("unknown", ()))
    schema = DataSchema(
        name=whole.text("name"),
        published=whole.text("published", ""),
        licence=whole.text("licence", ""),
        class_names=class_names,
        diagnoses=_diagnoses(whole, class_names),
        melanoma=melanoma,
        fields=tuple(_field(table, unknown) for table in whole.tables("fields")),
        unknown=unknown,
        table=_table(whole.table("table", required=True)),
        images=_images(whole.table("images")),
        record=dict(record),
    )
    whole.close()
    _check_whole(whole, schema)
    return schema


def _diagnoses(whole: CheckedTable, class_names: Mapping[str, str]) -> dict[str, str]:
    meanings = {fold(code): code for code in class_names}
    for word, code in whole.mapping("diagnoses").items():
        if code not in class_names:
            whole.reject(f"diagnoses.{word} is '{code}', which is not among the classes {', '.join(class_names)}")
        if meanings.setdefault(fold(word), code) != code:
            whole.reject(f"the diagnosis '{word}' means both {meanings[fold(word)]} and {code}")
    return meanings


def _table(table: CheckedTable) -> TableRule:
    rule = TableRule(
        files=table.texts("files"),
        delimiter=table.character("delimiter"),
        image=table.text("image"),
        diagnosis=table.text("diagnosis"),
        group=table.texts("group"),
        group_name=table.text("group_name"),
        decimal=table.text("decimal", "."),
    )
    if rule.decimal not in (".", ",") or rule.decimal == rule.delimiter:
        table.reject(f"table.decimal must be . or , and another sign than the delimiter, found '{rule.decimal}'")
    if not _IDENTIFIER.fullmatch(rule.group_name):
        table.reject(f"table.group_name must be one word such as lesion or patient, found '{rule.group_name}'")
    for name in rule.files:
        if Path(name).name != name or not name:
            table.reject(f"table.files must be names without a folder, found '{name}'")
    table.close()
    return rule


def _images(table: CheckedTable) -> ImageRule:
    skip = tuple(word.lower() for word in table.texts("skip_folders", ()))
    rule = ImageRule(skip, table.flag("first_copy", False), table.text("masks", ""))
    if "" in skip:
        table.reject("images.skip_folders must not hold an empty text, which every folder's name contains")
    table.close()
    return rule


def _field(table: CheckedTable, unknown: frozenset[str]) -> TableField:
    name = table.text("name")
    if not _IDENTIFIER.fullmatch(name) or name in _TAKEN:
        table.reject(
            f"{table.name_of('name')} is '{name}'; a field's name is letters, digits and _,"
            f" and not {' or '.join(_TAKEN)}"
        )
    kind = table.text("kind")
    reader = {"numeric": _numeric, "categorical": _categorical, "boolean": _boolean}.get(kind)
    if reader is None:
        table.reject(f"{table.name_of('kind')} must be numeric, categorical or boolean, found '{kind}'")
    field = reader(table, name)
    synonyms = {} if isinstance(field, NumericField) else _synonyms(table, field, unknown)
    entry = TableField(field, table.text("column", name), synonyms, table.flag("paper_only", False))
    table.close()
    return entry


def _numeric(table: CheckedTable, name: str) -> ClinicalField:
    field = NumericField(name, table.text("unit"), table.number("minimum"), table.number("maximum"))
    if field.minimum >= field.maximum:
        table.reject(f"the field {name} has the minimum {field.minimum:g} and the maximum {field.maximum:g}")
    return field


def _categorical(table: CheckedTable, name: str) -> ClinicalField:
    vocabulary = table.texts("vocabulary")
    _check_words(table, table.name_of("vocabulary"), vocabulary, minimum=1)
    return CategoricalField(name, vocabulary)


def _boolean(table: CheckedTable, name: str) -> ClinicalField:
    return CategoricalField(name, _TRUTH)


def _synonyms(table: CheckedTable, field: CategoricalField, unknown: frozenset[str]) -> dict[str, str]:
    meanings = {fold(word): word for word in field.vocabulary}
    words = dict(meanings)
    for synonym, word in table.mapping("synonyms").items():
        if fold(word) not in meanings:
            table.reject(
                f"the field {field.name} has the synonym '{synonym}' of '{word}',"
                f" which is not in its vocabulary: {', '.join(field.vocabulary)}"
            )
        if words.setdefault(fold(synonym), meanings[fold(word)]) != meanings[fold(word)]:
            table.reject(f"in the field {field.name} '{synonym}' means both {words[fold(synonym)]} and {word}")
    if both := sorted(unknown & set(words)):
        table.reject(f"in the field {field.name} '{both[0]}' is a word of the vocabulary, and means unknown")
    return {synonym: word for synonym, word in words.items() if synonym not in meanings}


def _check_words(table: CheckedTable, where: str, words: Iterable[str], minimum: int) -> None:
    counts = Counter(fold(word) for word in words)
    if len(counts) < minimum or "" in counts:
        table.reject(f"{where} must hold {minimum} or more words, none of them empty")
    if twice := [word for word, count in counts.items() if count > 1]:
        table.reject(f"{where} holds '{twice[0]}' more than once, case and _ aside")


def _check_whole(whole: CheckedTable, schema: DataSchema) -> None:
    counts = Counter(entry.field.name for entry in schema.fields)
    if twice := [name for name, count in counts.items() if count > 1]:
        whole.reject(f"two fields are called '{twice[0]}'")
    for entry in schema.fields:
        if entry.column == schema.table.diagnosis:
            whole.reject(f"the field {entry.field.name} reads the column of the diagnosis, '{entry.column}'")
    if all(entry.paper_only for entry in schema.fields):
        whole.reject("every field is paper_only, so that the default protocol has none to read")
