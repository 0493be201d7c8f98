"""What must stay on one side of a split, row by row: the id of the lesion or patient, or what stands in for it."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pandas as pd

from dermedge.data.schema import DataSchema
from dermedge.data.spelling import fold, names_nothing
from dermedge_runtime.errors import InputRejected

from .bad_lines import BadLines, read_each

_log = logging.getLogger(__name__)


def group_ids(rows: pd.DataFrame, schema: DataSchema, table: str, bad: BadLines) -> pd.Series[Any]:
    """Give the id of every row's group.

    Where `group` names none, the first column of `group_fallback` that has an id does. Rows that share this id with one
    whose group is known belong to that group: a lesion stays with its patient, though not every row names the patient.

    :param rows: with those columns of the group, and of what stands in for it, that the table has.
    :param table: its name, for the log.
    :param bad: learns of every row without an id.
    :return: a text, by line; NaN where there is no id.
    """
    rule = schema.table
    if not rule.group_fallback:
        for column in rule.group:
            ids = rows[column][rows[column].map(str.strip) != ""]  # empty ones are told with the image's name
            read_each(ids.map(str.strip), partial(_group_id, column=column, schema=schema), bad)
        return _joined([rows[column].map(str.strip) for column in rule.group])
    named = pd.Series(None, rows.index, dtype=object)
    if all(column in rows for column in rule.group):
        parts = [_ids(rows[column], schema) for column in rule.group]
        named = _joined(parts).where(pd.concat(parts, axis=1).notna().all(axis=1), None)
    for column in (column for column in rule.group_fallback if column in rows):
        ids, before = _ids(rows[column], schema), named.isna()
        known = named[ids.notna() & named.notna()].groupby(ids).first()
        named = named.fillna(ids.map(known)).fillna(ids)
        if taken := int((before & named.notna()).sum()):
            _log.info("%d of the %d rows of %s name no %s: %s stands in for it",
                      *(taken, len(rows), table, rule.group_name, column))  # fmt: skip
    without = ", ".join((*rule.group, *rule.group_fallback))
    bad.add_each(named.isna().map({True: f"None of {without} has an id."}))
    return named


def _joined(parts: list[pd.Series[Any]]) -> pd.Series[Any]:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.astype(str) + " / " + part.astype(str)
    return whole


def _ids(column: pd.Series[Any], schema: DataSchema) -> pd.Series[Any]:
    """Give the cells of a column that are ids, None elsewhere."""
    texts = column.map(str.strip)
    named = {text: not names_nothing(text) and fold(text) not in schema.unknown for text in texts.unique()}
    return texts.where(texts.map(named).astype(bool), None)


def _group_id(text: str, column: str, schema: DataSchema) -> str:
    name = schema.table.group_name
    if names_nothing(text) or fold(text) in schema.unknown:
        raise InputRejected(
            f"{column} is '{text}', which names no {name}. Write the id of the {name}, or an id of its own if no other"
            f" photograph shows this {name}."
        )
    return text
