"""Read a metadata table: its text, its rows with their lines, and what their cells mean, column by column.

The diagnoses may be in a table of their own, beside it.

The strict reader of the standard library reads the text: pandas' own tells nobody the line of a row, fills short rows
up and forgives a quotation mark. Not covered: the pictures (`image_files`).
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from dermedge.data.schema import DataSchema
from dermedge.data.spelling import visible
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import ClinicalValue

from .bad_lines import BadLines, read_each
from .diagnosis_cells import diagnosis_words, label, left_out
from .group_cells import group_ids

_log = logging.getLogger(__name__)
_DELIMITERS = ("\t", ",", ";")
LEFT_OUT = -1
"""Label of a row that the schema leaves out for its diagnosis."""


def read_table(table: Path, schema: DataSchema, bad: BadLines, truth: Path | None = None) -> pd.DataFrame:
    """Read a table in UTF-8, or in UTF-16 with its mark. Blank rows are left out, and logged.

    :param bad: learns of every line that is no row of the table, and of every cell that means nothing.
    :param truth: the table that has the diagnoses, if that is another one.
    :return: the other lines, indexed by where they begin: `image_id`, `lesion_id`, `label` and `clinical`, as
        `samples.Sample` has them. Of rows with the label `LEFT_OUT` no cell but the image's name was read.
    :raises InputRejected: no such text, no such delimiter, a column that is absent or there twice; lines of `truth`
        that cannot be used.
    """
    rule, apart = schema.table, () if truth is None else schema.table.diagnosis_columns
    rows = _rows(table, [name for name in schema.columns if name not in apart], schema, bad)
    image_id = rows[rule.image].map(str.strip)
    needed = [image_id] if rule.group_fallback else [image_id, *(rows[column].map(str.strip) for column in rule.group)]
    names = (rule.image,) if rule.group_fallback else (rule.image, *rule.group)
    words = diagnosis_words(rows, schema, bad) if truth is None else _words_beside(truth, image_id, schema, bad)
    skipped = left_out(words.fillna("").astype(str), schema, table.name)
    kept = rows[~skipped]
    empty = (pd.concat(needed, axis=1) == "").any(axis=1)
    bad.add_each(empty.map({True: f"{' or '.join(names)} is empty."}))
    group = group_ids(kept, schema, table.name, bad)
    labels = read_each(words[~skipped].dropna(), partial(label, schema=schema), bad)
    frame = pd.DataFrame({"image_id": image_id, "lesion_id": group, "label": labels})
    frame["label"] = frame["label"].mask(skipped, LEFT_OUT)
    frame["clinical"] = pd.Series(_clinical(kept, schema, bad), kept.index, dtype=object)
    return frame[~frame.index.isin(bad.lines)].astype({"label": int})


def _clinical(rows: pd.DataFrame, schema: DataSchema, bad: BadLines) -> list[dict[str, ClinicalValue]]:
    decimal = schema.table.decimal
    values = {
        entry.field.name: read_each(
            rows[entry.column], partial(entry.read, unknown=schema.unknown, decimal=decimal), bad
        )
        for entry in schema.fields
    }
    records = pd.DataFrame(values, rows.index).to_dict("records")
    return [{str(name): value for name, value in record.items() if pd.notna(value)} for record in records]


def _words_beside(truth: Path, images: pd.Series[Any], schema: DataSchema, bad: BadLines) -> pd.Series[Any]:
    """Give the diagnosis of every image from another table.

    :param images: names, by line of the first table.
    :param bad: learns of every image that the other table lacks.
    :return: texts; NaN where the other table has none.
    :raises InputRejected: lines of the other table that cannot be used.
    """
    rule, faults = schema.table, BadLines(truth.name)
    rows = _rows(truth, [rule.image, *rule.diagnosis_columns], schema, faults)
    names = rows[rule.image].map(str.strip)
    faults.add_each(names.duplicated().map({True: f"{rule.image} is that of an earlier row."}))
    words = diagnosis_words(rows, schema, faults)
    faults.refuse()
    found = images.map(pd.Series(words.to_list(), names.to_list(), dtype=object))
    bad.add_each((found.isna() & (images != "")).map({True: f"{truth.name} has no row of its image."}))
    if others := len(set(names) - set(images)):
        _log.info("%d rows of %s are of images that this table does not name, and left out", others, truth.name)
    return found


def _rows(table: Path, columns: Sequence[str], schema: DataSchema, bad: BadLines) -> pd.DataFrame:
    """Give the rows that are whole: the columns as text, but for optional ones that the table lacks.

    They are indexed by the line where a row begins.
    """
    try:
        text = _decoded(table.read_bytes())
        delimiter = schema.table.delimiter or _delimiter(text, columns)
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
    _check_columns(header, table, columns, schema.optional_columns)
    columns = [name for name in columns if _column(name) in header]
    places = [header.index(_column(name)) for name in columns]
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
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=object)


def _decoded(content: bytes) -> str:
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig")


def _delimiter(text: str, columns: Sequence[str]) -> str:
    """The delimiter that finds most of the columns; of equals a tab in the header, then the comma."""
    wanted = {_column(name) for name in columns}

    def found(delimiter: str) -> tuple[int, bool]:
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [])
        return len(wanted & {_column(name) for name in header}), delimiter != "\t" or len(header) > 1

    return max(_DELIMITERS, key=found)


def _column(name: str) -> str:
    return " ".join(visible(name).split())


def _check_columns(found: Sequence[str], table: Path, columns: Sequence[str], optional: Collection[str]) -> None:
    wanted = {name: _column(name) for name in columns}
    missing = sorted(name for name in wanted if wanted[name] not in found)
    others = {name.lower(): name for name in found if name not in wanted.values()}
    # One that may be absent is missed where another column is called nearly so: it is only spelt otherwise.
    missing = [name for name in missing if name not in optional or _nearest(name, others, 0.8)]
    if missing:
        near = {name: _nearest(name, {name.lower(): name for name in found}, 0.6) for name in missing}
        hints = [f" Its '{other}' is not '{name}': spell it so." for name, other in near.items() if other]
        raise InputRejected(
            f"The metadata table {table} lacks the columns {', '.join(missing)}."
            f" The columns there are: {', '.join(found) or 'none'}.{''.join(hints)}"
        )
    if twice := [name for name in wanted if list(found).count(wanted[name]) > 1]:
        raise InputRejected(f"The metadata table {table} has two columns called {twice[0]}. Rename one.")


def _nearest(name: str, others: Mapping[str, str], likeness: float) -> str:
    """Give the name that is spelt most like another, from 0 to 1; empty where none is so alike. Keys are lower-case."""
    return next((others[word] for word in difflib.get_close_matches(name.lower(), others, n=1, cutoff=likeness)), "")


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
