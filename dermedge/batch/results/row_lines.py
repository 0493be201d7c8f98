"""Rows as lines of a file, and back: CSV with one line a row whatever is in its cells, or a JSON object a line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Protocol

from dermedge_runtime.result_row import TEXTS, Column, Row

from .cells import SEPARATOR, text_of


class RowLines(Protocol):
    """How rows become lines."""

    def header(self) -> bytes:
        """Give what stands before the first row: one line, or nothing."""
        ...

    def lines(self, rows: Sequence[Row]) -> bytes:
        """Give the lines of some rows."""
        ...

    def row(self, line: bytes) -> Row | None:
        """Read a line again; None: it is none of these rows."""
        ...


class CsvLines:
    """CSV: UTF-8, commas, a header."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns

    def header(self) -> bytes:
        """Give the names of the columns."""
        return self._encoded([[column.name for column in self._columns]])

    def lines(self, rows: Sequence[Row]) -> bytes:
        """Give the lines of some rows."""
        return self._encoded([[text_of(row[column.name]) for column in self._columns] for row in rows])

    def row(self, line: bytes) -> Row | None:
        """Read a line again: everything as text, empty cells as None, lists as lists."""
        cells = next(csv.reader([line.decode("utf-8", "replace")]), [])
        if len(cells) != len(self._columns):
            return None
        return {
            column.name: (cell.split(SEPARATOR) if column.kind == TEXTS else cell) if cell else None
            for column, cell in zip(self._columns, cells, strict=True)
        }

    def _encoded(self, rows: Sequence[Sequence[object]]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode("utf-8")


class JsonLines:
    """A JSON object a line; lists stay lists, and text is as it is."""

    def header(self) -> bytes:
        """Give nothing: every line says what it holds."""
        return b""

    def lines(self, rows: Sequence[Row]) -> bytes:
        """Give the lines of some rows."""
        return "".join(f"{json.dumps(row, allow_nan=False)}\n" for row in rows).encode("ascii")

    def row(self, line: bytes) -> Row | None:
        """Read a line again."""
        try:
            row = json.loads(line)
        except ValueError:
            return None
        return row if isinstance(row, dict) else None
