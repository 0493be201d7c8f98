"""Read a schema file, a shipped one or a clinic's own: TOML, checked whole before any data is read."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dermedge_runtime.errors import InputRejected

from .schema import DataSchema, TableField
from .schema_entries import MODELS, SchemaEntries
from .schema_faults import faults
from .words import fold

_SUFFIX = ".toml"


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

    :raises InputRejected: keys are missing, unknown or of a wrong kind, or the schema contradicts itself: a sentence
        for each.
    """
    try:
        entries = SchemaEntries.model_validate(record)
    except ValidationError as error:
        raise InputRejected("\n".join(f"The schema {source}: {fault}" for fault in faults(error, MODELS))) from error
    return DataSchema(
        name=entries.name,
        published=entries.published,
        licence=entries.licence,
        class_names=entries.classes,
        diagnoses=entries.code_of_word(),
        melanoma=entries.melanoma or None,
        fields=tuple(
            TableField(each.field(), each.column or each.name, each.other_words(), each.paper_only)
            for each in entries.fields
        ),
        unknown=frozenset(fold(word) for word in entries.unknown),
        table=entries.table,
        images=entries.images,
        record=dict(record),
    )
