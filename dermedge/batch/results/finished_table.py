"""A journal of JSON lines as a table that is made at once: Parquet or an Excel sheet; a piece at a time in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files import atomic_path
from dermedge_runtime.result_row import NUMBER, TEXTS, Column

from .cells import text_of

_PIECE = 5000
MOST_EXCEL_ROWS = 1_048_575
"""Below the header of one sheet."""
_LONGEST_CELL = 32_767


def write_parquet(target: Path, columns: Sequence[Column], journal: Iterable[bytes]) -> None:
    """Write all rows of a journal: numbers as float64, lists as lists of strings, everything else as strings.

    :raises DermedgeError: pyarrow is not installed.
    :raises OSError: it cannot be written.
    """
    arrow, parquet = _pyarrow()
    schema = parquet_schema(columns)
    with atomic_path(target, durable=True) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        for piece in _pieces(journal):
            writer.write_table(arrow.Table.from_pylist([plain_row(row, columns) for row in piece], schema))


def parquet_schema(columns: Sequence[Column]) -> Any:
    """Give the Arrow schema of the results.

    :raises DermedgeError: pyarrow is not installed.
    """
    arrow, _ = _pyarrow()
    kinds = {NUMBER: arrow.float64(), TEXTS: arrow.list_(arrow.string())}
    return arrow.schema([(column.name, kinds.get(column.kind, arrow.string())) for column in columns])


def write_xlsx(target: Path, columns: Sequence[Column], journal: Iterable[bytes]) -> None:
    """Write all rows of a journal into one sheet.

    :raises DermedgeError: openpyxl is not installed, or more rows than a sheet holds.
    :raises OSError: it cannot be written.
    """
    try:
        from openpyxl import Workbook
    except ImportError as error:
        raise not_installed("openpyxl", ".xlsx") from error
    book = Workbook(write_only=True)
    sheet = book.create_sheet("results")
    sheet.freeze_panes = "B2"
    sheet.append([column.name for column in columns])
    rows = 0
    for piece in _pieces(journal):
        rows += len(piece)
        if rows > MOST_EXCEL_ROWS:
            raise DermedgeError(
                f"An Excel sheet holds {MOST_EXCEL_ROWS:,} rows, and there are more. Take .parquet or .csv for --out."
            )
        for row in piece:
            sheet.append([_excel(text_of(row.get(column.name))) for column in columns])
    with atomic_path(target, durable=True) as temporary:
        book.save(temporary)


def plain_row(row: dict[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    """Give a row as Parquet takes it: text that every reader can decode; lists stay lists."""
    plain: dict[str, Any] = {}
    for column in columns:
        cell = row.get(column.name)
        if column.kind == TEXTS:
            plain[column.name] = None if cell is None else [text_of(each) for each in cell]
        else:
            plain[column.name] = text_of(cell)
    return plain


def _excel(cell: str | float | None) -> str | float | None:
    return cell[:_LONGEST_CELL] if isinstance(cell, str) else cell


def _pieces(journal: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    lines = iter(journal)
    while piece := [json.loads(line) for line in islice(lines, _PIECE)]:
        yield piece


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise not_installed("pyarrow", ".parquet") from error
    return pyarrow, pyarrow.parquet


def not_installed(package: str, ending: str) -> DermedgeError:
    """Make the error of a format whose package is missing."""
    return DermedgeError(f"To write {ending}, {package} is needed. Run: pip install 'dermedge[batch]'")
