"""Read a schema file, a shipped one or a clinic's own: TOML, checked whole before any data is read.

What pydantic finds wrong becomes one sentence for each fault, with the key and the nearest name.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dermedge_runtime.errors import InputRejected

from .schema import DataSchema, TableField
from .schema_entries import MODELS, SchemaEntries
from .spelling import fold
from .toml_faults import described, key_name, unknown_key

_SUFFIX = ".toml"
_WANTED = {
    "string_type": "a text",
    "string_too_short": "a text",
    "string_pattern_mismatch": "one character",
    "bool_type": "true or false",
    "float_type": "a number",
    "finite_number": "a number",
    "tuple_type": "a list of texts",
    "too_short": "a list of texts",
    "dict_type": "a table of texts",
}
"""What a key must be, by the kind of pydantic's error; otherwise a table."""


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
        except ValueError as error:  # a NUL byte in the name
            raise InputRejected(f"The schema {name!r} cannot be read: {error}.") from error
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
        raise InputRejected("\n".join(f"The schema {source}: {fault}" for fault in _faults(error))) from error
    return DataSchema(
        name=entries.name,
        published=entries.published,
        licence=entries.licence,
        class_names=entries.classes,
        diagnoses=entries.code_of_word(),
        skip_diagnoses=frozenset(fold(word) for word in entries.skip_diagnoses),
        melanoma=entries.melanoma or None,
        urgent=tuple(dict.fromkeys(entries.urgent)),
        fields=tuple(
            TableField(
                each.field(),
                each.column or each.name,
                {fold(word): meant for word, meant in each.other_words().items()},
                each.paper_only,
            )
            for each in entries.fields
        ),
        unknown=frozenset(fold(word) for word in entries.unknown),
        table=entries.table,
        images=entries.images,
        record=dict(record),
    )


def _faults(error: ValidationError) -> list[str]:
    """Give everything that is wrong, a sentence each."""
    found: list[str] = []
    for each in error.errors(include_url=False):
        # A list with a faulty entry is also called too short.
        if each["type"] != "too_short" or not each["input"]:
            found += _reasons(each)
    return [fault if fault.endswith("?") else f"{fault}." for fault in found]


def _reasons(fault: ErrorDetails) -> Sequence[str]:
    kind, place, given = fault["type"], fault["loc"], fault.get("ctx", {})
    name = key_name(place, kinds=True)
    if kind == "contradictions":
        reasons: list[str] = given["reasons"]
        return reasons
    if kind == "about_key":
        return [f"{given['before']}{name} {given['reason']}"]
    if kind in ("missing", "union_tag_not_found"):
        return [f"the key {name if kind == 'missing' else f'{name}.kind'} is missing"]
    if kind == "extra_forbidden":
        table = MODELS[tuple(part for part in place[:-1] if isinstance(part, str))]
        return [f"the key {name} is unknown{unknown_key(str(place[-1]), list(table.model_fields))}"]
    if kind == "union_tag_invalid":
        return [f"{name}.kind must be numeric, categorical or boolean, found '{given['tag']}'"]
    wanted = "one or more tables [[fields]]" if name == "fields" else _WANTED.get(kind, "a table")
    if kind == "dict_type" and "numeric" in place:
        wanted = "a table of numbers"
    return [f"{name or 'it'} must be {wanted}, found {described(fault['input'])}"]
