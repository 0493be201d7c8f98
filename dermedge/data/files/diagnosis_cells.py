"""The class of every row: from a word, or from columns of which one holds 1; and the rows that a schema leaves out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from dermedge.data.schema import DataSchema
from dermedge.data.spelling import NUMBER, fold
from dermedge_runtime.errors import InputRejected

from .bad_lines import BadLines, read_each

_log = logging.getLogger(__name__)


def diagnosis_words(rows: pd.DataFrame, schema: DataSchema, bad: BadLines) -> pd.Series[Any]:
    """Give the word of the diagnosis of every row, as the table has it.

    :param rows: with the schema's diagnosis columns.
    :param bad: learns of every row of whose columns not just one holds 1.
    :return: a text, empty where nothing is said; by line.
    """
    rule = schema.table
    if rule.one_hot:
        return _one_hot_words(rows[list(rule.one_hot)], rule.decimal, bad)
    first, *others = (rows[column].map(str.strip) for column in rule.diagnosis_columns)
    for other in others:
        first = first.where(first != "", other)
    return first


def _one_hot_words(rows: pd.DataFrame, decimal: str, bad: BadLines) -> pd.Series[Any]:
    read = {name: read_each(rows[name], partial(_holds, column=name, decimal=decimal), bad) for name in rows.columns}
    marked = pd.DataFrame(read, index=rows.index)
    whole = marked.notna().all(axis=1)
    marked = marked.fillna(value=False).astype(bool)
    count = marked.sum(axis=1)
    for line in rows.index[whole & (count != 1)]:
        names = ", ".join(marked.columns[marked.loc[line]])
        found = f"{names} hold 1" if names else "none holds 1"
        bad.add(int(line), f"just one of {', '.join(rows.columns)} must hold 1, found that {found}.")
    return marked.idxmax(axis=1) if len(rows) else pd.Series(dtype=object)


def _holds(text: str, column: str, decimal: str) -> bool:
    plain = text.strip().replace(decimal, ".")
    if NUMBER.fullmatch(plain) is None or float(plain) not in (0.0, 1.0):
        raise InputRejected(f"{column} must be 0 or 1, got '{text}'.")
    return float(plain) == 1.0


def left_out(words: pd.Series[Any], schema: DataSchema, table: str) -> pd.Series[Any]:
    """Tell which rows the schema leaves out for their diagnosis, and log how many of which.

    :param words: as `diagnosis_words` gives them.
    :param table: its name, for the log.
    :return: bool, by line.
    """
    chosen = words.map(fold).isin(schema.skip_diagnoses)
    if chosen.any():
        counts = words[chosen].value_counts()
        _log.info(
            "%d of the %d rows of %s are left out for their diagnosis: %s",
            *(int(chosen.sum()), len(words), table, _counted(counts.index.tolist(), counts.tolist())),
        )
    return chosen


def _counted(words: Sequence[str], counts: Sequence[int], most: int = 5) -> str:
    said = [f"{word or 'empty'} {count}" for word, count in zip(words, counts, strict=True)]
    return f"{', '.join(said[:most])}{' and others' if len(said) > most else ''}"


def label(text: str, schema: DataSchema) -> int:
    """Give the index into the schema's classes that a word of the diagnosis means.

    :raises InputRejected: it means none of them.
    """
    code = schema.diagnoses.get(fold(text))
    if code is None:
        known = dict.fromkeys((*schema.classes, *schema.diagnoses.values()))
        raise InputRejected(f"unknown diagnosis '{text}'; known are {', '.join(known)}.")
    return schema.classes.index(code)
