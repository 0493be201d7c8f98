"""`made.json` and `made.csv` of a folder of generated pictures, read back: nothing of them is taken on trust."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from dermedge.data.toml_faults import key_name
from dermedge_runtime.errors import InputRejected

RECORD, TABLE = "made.json", "made.csv"
IMAGE, CLASS = "image", "class"
"""Columns of the table; the clinical fields follow them."""
_AGAIN = "Make the pictures again"


class MadeRecord(BaseModel):
    """What is read of `made.json`; more stands there for people."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    schema_name: str = Field(alias="schema")
    """Of the data set that the generator was trained on."""
    classes: list[str]
    """All that the data set tells apart, in its order."""
    pictures: dict[str, PositiveInt]
    """How many there are, by class."""
    split_sha256: str
    """Of the split whose training part the generator has seen."""
    files: dict[str, str]
    """SHA-256 of every other file, by its name."""


def read_record(folder: Path) -> MadeRecord:
    """Read `made.json`.

    :raises InputRejected: it is absent, cannot be read, or says too little.
    """
    file = folder / RECORD
    if not file.is_file():
        raise InputRejected(f"There are no generated pictures in {folder}. Make some with dermedge synthesise.")
    try:
        record = MadeRecord.model_validate_json(file.read_bytes())
    except OSError as error:
        raise InputRejected(f"{file} cannot be read: {error.strerror or error}. {_AGAIN}.") from error
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = key_name(fault["loc"]) or "the file"
        raise InputRejected(f"{file} is damaged ({place}: {fault['msg']}). {_AGAIN}.") from error
    if TABLE not in record.files:
        raise InputRejected(f"{file} is damaged: it does not name {TABLE}. {_AGAIN}.")
    return record


def read_table(folder: Path, record: MadeRecord) -> pd.DataFrame:
    """Read `made.csv`, a row a picture, all as texts.

    :raises InputRejected: it is no such table, or does not fit the record.
    """
    try:
        table = pd.read_csv(folder / TABLE, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise InputRejected(f"{folder / TABLE} cannot be read ({error}). {_AGAIN}.") from error
    if fault := _fault(table, record):
        raise InputRejected(f"{folder / TABLE} does not fit {RECORD}: {fault}. {_AGAIN}, with --overwrite.")
    return table


def _fault(table: pd.DataFrame, record: MadeRecord) -> str:
    if list(table.columns[:2]) != [IMAGE, CLASS]:
        return f"its columns do not begin with {IMAGE}, {CLASS}"
    found = Counter(table[CLASS])
    if unknown := sorted(set(found) - set(record.classes)):
        return f"it has a picture of {unknown[0]}, which is no class of the data"
    if found != record.pictures:
        told = (", ".join(f"{count} of {code}" for code, count in each.items()) for each in (found, record.pictures))
        return f"it has {next(told) or 'no picture'}, and not {next(told) or 'none'}"
    names = Counter(table[IMAGE])
    if twice := [name for name, count in names.items() if count > 1]:
        return f"it has {twice[0]} twice"
    if strange := [name for name in names if f"{name}.png" not in record.files]:
        return f"it has {strange[0]}, which is none of the files"
    return ""
