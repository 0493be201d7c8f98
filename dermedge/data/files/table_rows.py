"""Read a metadata table as text: its encoding, its delimiter, its header, its rows with their lines.

Not covered: what the cells mean (`samples`).
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermedge.data.schema import DataSchema
from dermedge.data.words import visible
from dermedge_runtime.errors import InputRejected

Problem = tuple[int, str]
"""A line's number, and what is wrong with it."""
_DELIMITERS = ("\t", ",", ";")
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row of a table."""

    line: int
    """Where it begins."""
    cells: Mapping[str, str]
    """By the column's name, as the schema spells it; columns that the schema does not name are left out."""


def read_rows(table: Path, schema: DataSchema, log: Callable[[str], None]) -> tuple[list[TableRow], list[Problem]]:
    """Read a table in UTF-8, or in UTF-16 with its mark.

    :param log: learns of rows that are blank.
    :return: the rows that are whole, and what is wrong with the others.
    :raises InputRejected: no such text, no such delimiter, a column that is absent or there twice.
    """
    try:
        text = _decoded(table.read_bytes())
        delimiter = schema.table.delimiter or _delimiter(text, schema)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        header = [_column(name) for name in next(reader, [])]
        _check_columns(header, table, schema)
        lines = _numbered(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        by = f"'{schema.table.delimiter}'" if schema.table.delimiter else "commas, tabs or semicolons"
        raise InputRejected(
            f"The metadata table {table} is no UTF-8 table separated by {by}: {error}."
            " Save it as CSV in UTF-8, with every quotation mark closed."
        ) from error
    places = {name: header.index(_column(name)) for name in schema.columns}
    rows, problems, blank = [], [], []
    for line, cells in lines:
        if not any(cell.strip() for cell in cells):
            blank.append(line)
        elif len(cells) != len(header):
            problems.append((line, "the row has not as many columns as the header."))
        elif any(_swallows_rows(cell, place, len(header), delimiter) for place, cell in enumerate(cells)):
            problems.append((line, "a quotation mark is not closed, and the rows below it are read as one cell."))
        else:
            rows.append(TableRow(line, {name: cells[place] for name, place in places.items()}))
    if blank:
        log(f"{len(blank)} rows of {table.name} are blank and left out, first line {blank[0]}")
    return rows, problems


def refuse(table: str, problems: Sequence[Problem]) -> None:
    """Refuse a table with all that is wrong with it, up to twenty lines.

    :raises InputRejected: there is any problem.
    """
    said = [f"{table}, line {line}: {reason}" for line, reason in sorted(problems)]
    if len(said) == 1:
        raise InputRejected(said[0])
    if said:
        more = [f"and {len(said) - _SHOWN} more."] if len(said) > _SHOWN else []
        raise InputRejected("\n".join([f"{len(said)} rows of {table} cannot be used:", *said[:_SHOWN], *more]))


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


def _numbered(reader: Any) -> list[tuple[int, list[str]]]:
    """Rows with the lines at which they begin; a quoted cell may run over several."""
    lines, last = [], reader.line_num
    for cells in reader:
        if cells:
            lines.append((last + 1, cells))
        last = reader.line_num
    return lines


def _swallows_rows(cell: str, place: int, columns: int, delimiter: str) -> bool:
    """Whether a cell runs over lines that, taken one by one, have just the table's number of columns."""
    counts = [line.count(delimiter) for line in cell.splitlines()]
    if len(counts) < 2 or columns < 3:
        return False
    whole = all(count == columns - 1 for count in counts[1:-1])
    return counts[0] == columns - 1 - place and whole and counts[-1] == place
