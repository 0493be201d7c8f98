"""What the cells of a metadata table mean, column by column: ids, diagnosis, clinical values.

Not covered: the table's text (`table_rows`) and its pictures (`image_files`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from dermedge_runtime.errors import InputRejected

from .files.bad_lines import BadLines
from .groups import names_nothing
from .schema import DataSchema
from .words import fold


def read_columns(rows: pd.DataFrame, schema: DataSchema, bad: BadLines) -> pd.DataFrame:
    """Read every cell of a table but what its picture shows.

    :param rows: text by column, indexed by line.
    :param bad: learns of every cell that means nothing.
    :return: the lines that `bad` does not know, indexed as before: `image_id`, `lesion_id`, `label` and `clinical`, as
        `samples.Sample` has them.
    """
    rule = schema.table
    image_id, *group = (rows[column].map(str.strip) for column in (rule.image, *rule.group))
    empty = (pd.concat([image_id, *group], axis=1) == "").any(axis=1)
    bad.add_each(empty.map({True: f"{' or '.join((rule.image, *rule.group))} is empty."}))
    for column, ids in zip(rule.group, group, strict=True):
        _read(ids[~empty], partial(_group_id, column=column, schema=schema), bad)
    label = _read(rows[rule.diagnosis], partial(_label, schema=schema), bad)
    values = {
        entry.field.name: _read(
            rows[entry.column], partial(entry.read, unknown=schema.unknown, decimal=rule.decimal), bad
        )
        for entry in schema.fields
    }
    clinical = [
        {name: value for name, value in record.items() if pd.notna(value)}
        for record in pd.DataFrame(values).to_dict("records")
    ]
    lesion_id = [" / ".join(parts) for parts in zip(*group, strict=True)]
    frame = pd.DataFrame({"image_id": image_id, "lesion_id": lesion_id, "label": label, "clinical": clinical})
    return frame[~frame.index.isin(bad.lines)].astype({"label": int})


def _read(column: pd.Series[Any], read: Callable[[str], Any], bad: BadLines) -> pd.Series[Any]:
    """Read every different text of a column once; NaN where it cannot be read, or means unknown."""
    values, reasons = {}, {}
    for text in column.unique():
        try:
            values[text] = read(text)
        except InputRejected as error:
            reasons[text] = str(error)
    bad.add_each(column.map(reasons))
    return column.map(values)


def _group_id(text: str, column: str, schema: DataSchema) -> str:
    name = schema.table.group_name
    if names_nothing(text) or fold(text) in schema.unknown:
        raise InputRejected(
            f"{column} is '{text}', which names no {name}. Write the id of the {name}, or an id of its own if no other"
            f" photograph shows this {name}."
        )
    return text


def _label(text: str, schema: DataSchema) -> int:
    code = schema.diagnoses.get(fold(text))
    if code is None:
        known = dict.fromkeys((*schema.classes, *schema.diagnoses.values()))
        raise InputRejected(f"unknown diagnosis '{text}'; known are {', '.join(known)}.")
    return schema.classes.index(code)
