"""Read a metadata table: its text, its rows with their lines, and what their cells mean, column by column.

The strict reader of the standard library reads the text: pandas' own tells nobody the line of a row, fills short rows
up and forgives a quotation mark. Not covered: the pictures (`image_files`).
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from dermedge.data.schema import DataSchema
from dermedge.data.spelling import fold, names_nothing, visible
from dermedge_runtime.errors import InputRejected

_log = logging.getLogger(__name__)
_DELIMITERS = ("\t", ",", ";")
_SHOWN = 20


class BadLines:
    """The lines of one table that cannot be used, and why."""

    def __init__(self, table: str) -> None:
        """:param table: its name, for messages."""
        self._table = table
        self._reasons: dict[int, list[str]] = defaultdict(list)

    @property
    def lines(self) -> list[int]:
        """Their numbers."""
        return list(self._reasons)

    def add(self, line: int, reason: str) -> None:
        """Note one thing that is wrong with a line, as a sentence."""
        self._reasons[line].append(reason)

    def add_each(self, reasons: pd.Series[Any]) -> None:
        """Note a column of reasons. :param reasons: by line; NaN where nothing is wrong."""
        for line, reason in reasons.dropna().items():
            self.add(int(str(line)), reason)

    def refuse(self) -> None:
        """Refuse the table with all that is wrong with it, up to twenty lines.

        :raises InputRejected: any line is bad.
        """
        said = [f"{self._table}, line {line}: {' '.join(told)}" for line, told in sorted(self._reasons.items())]
        if len(said) == 1:
            raise InputRejected(said[0])
        if said:
            more = [f"and {len(said) - _SHOWN} more."] if len(said) > _SHOWN else []
            raise InputRejected(
                "\n".join([f"{len(said)} rows of {self._table} cannot be used:", *said[:_SHOWN], *more])
            )


def read_table(table: Path, schema: DataSchema, bad: BadLines) -> pd.DataFrame:
    """Read a table in UTF-8, or in UTF-16 with its mark. Blank rows are left out, and logged.

    :param bad: learns of every line that is no row of the table, and of every cell that means nothing.
    :return: the other lines, indexed by where they begin: `image_id`, `lesion_id`, `label` and `clinical`, as
        `samples.Sample` has them.
    :raises InputRejected: no such text, no such delimiter, a column that is absent or there twice.
    """
    rows, rule = _rows(table, schema, bad), schema.table
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


def _rows(table: Path, schema: DataSchema, bad: BadLines) -> pd.DataFrame:
    """Give the rows that are whole: the schema's columns as text, indexed by the line where a row begins."""
    try:
        text = _decoded(table.read_bytes())
        delimiter = schema.table.delimiter or _delimiter(text, schema)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = [_column(name) for name in next(reader, [])]
        if any("\0" in name for name in header):
            raise csv.Error("its header holds NUL bytes, as UTF-16 without a mark does")
    except (UnicodeDecodeError, csv.Error) as error:
        by = f"'{schema.table.delimiter}'" if schema.table.delimiter else "commas, tabs or semicolons"
        raise InputRejected(
            f"The metadata table {table} is no UTF-8 table separated by {by}: {error}."
            " Save it as CSV in UTF-8, with every quotation mark closed."
        ) from error
    _check_columns(header, table, schema)
    places = [header.index(_column(name)) for name in schema.columns]
    rows: dict[int, list[str]] = {}
    blank = []
    for line, cells in _numbered(reader, bad):
        if not any(cell.strip() for cell in cells):
            blank.append(line)
        elif reason := _fault(cells, len(header), delimiter):
            bad.add(line, reason)
        else:
            rows[line] = [cells[place] for place in places]
    if blank:
        _log.info("%d rows of %s are blank and left out, first line %d", len(blank), table.name, blank[0])
    # As objects: the cells stay Python's own texts, whatever this pandas would make of them.
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(schema.columns), dtype=object)


def _decoded(content: bytes) -> str:
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig")


def _delimiter(text: str, schema: DataSchema) -> str:
    """The delimiter that finds most of the schema's columns; of equals a tab in the header, then the comma."""
    wanted = {_column(name) for name in schema.columns}

    def found(delimiter: str) -> tuple[int, bool]:
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        return len(wanted & {_column(name) for name in header}), delimiter != "\t" or len(header) > 1

    return max(_DELIMITERS, key=found)


def _column(name: str) -> str:
    return " ".join(visible(name).split())


def _check_columns(found: Sequence[str], table: Path, schema: DataSchema) -> None:
    wanted = {name: _column(name) for name in schema.columns}
    if missing := sorted(name for name in wanted if wanted[name] not in found):
        plain = {name.lower(): name for name in found}
        near = {name: difflib.get_close_matches(name.lower(), plain, n=1) for name in missing}
        hints = [f" Its '{plain[words[0]]}' is not '{name}': spell it so." for name, words in near.items() if words]
        raise InputRejected(
            f"The metadata table {table} lacks the columns {', '.join(missing)}."
            f" The columns there are: {', '.join(found) or 'none'}.{''.join(hints)}"
        )
    if twice := [name for name in wanted if list(found).count(wanted[name]) > 1]:
        raise InputRejected(f"The metadata table {table} has two columns called {twice[0]}. Rename one.")


def _numbered(reader: Any, bad: BadLines) -> Iterator[tuple[int, list[str]]]:
    """Rows with the lines at which they begin; a quoted cell may run over several."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:  # the reader goes on with the next line
            bad.add(
                line, f"it is no row of a table: {error}. Close every quotation mark, and double one within a cell."
            )
            continue
        if cells is None:
            return
        if cells:
            yield line, cells


def _fault(cells: Sequence[str], columns: int, delimiter: str) -> str:
    """Why the cells are no row of the table; empty where they are one."""
    if len(cells) != columns:
        return "the row has not as many columns as the header."
    if any(_swallows_rows(cell, place, columns, delimiter) for place, cell in enumerate(cells)):
        return "a quotation mark is not closed, and the rows below it are read as one cell."
    return "it holds a NUL byte." if any("\0" in cell for cell in cells) else ""


def _swallows_rows(cell: str, place: int, columns: int, delimiter: str) -> bool:
    """Whether a cell runs over lines that, taken one by one, have just the table's number of columns."""
    counts = [line.count(delimiter) for line in cell.splitlines()]
    if len(counts) < 2 or columns < 3:
        return False
    whole = all(count == columns - 1 for count in counts[1:-1])
    return counts[0] == columns - 1 - place and whole and counts[-1] == place


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
