"""A table of patients in memory, and which of its rows are about a file: by name, with or without ending and folders.

The index takes 16 bytes a row; the table itself what its text needs.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge.batch.readable import ENDINGS
from dermedge.batch.walk import FoundFile
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import ClinicalSchema, ClinicalValue

from .find_columns import TableColumns
from .read_table import TableFile
from .usual_words import UsualWords

_FIRST_ROW = 2
"""What a spreadsheet calls the row below the header."""
_FEWEST_SHARED = 2
"""Parts of an absolute path, written elsewhere, that a file must share: its name and the folder it lies in."""


@dataclass(frozen=True, slots=True)
class _Name:
    """A path as the join sees it."""

    parts: tuple[str, ...]
    """Folders and name without a known ending; composed, without case."""
    ending: str
    absolute: bool

    @property
    def key(self) -> int:
        return int.from_bytes(blake2b(self.parts[-1].encode("utf-8", "surrogateescape"), digest_size=8).digest())


@lru_cache(maxsize=64)
def _name(path: str) -> _Name:
    plain = unicodedata.normalize("NFC", path.strip().replace("\\", "/")).casefold()
    absolute = plain.startswith("/") or plain[1:3] == ":/"
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    stem, ending = os.path.splitext(parts[-1]) if parts else ("", "")
    if ending in ENDINGS:
        parts[-1] = stem
    else:
        ending = ""
    return _Name(tuple(parts) or ("",), ending, absolute)


class PatientTable:
    """A table of patients, in memory."""

    def __init__(self, file: TableFile, columns: TableColumns, schema: ClinicalSchema) -> None:
        """Read the columns that are needed.

        :param schema: clinical fields of the model.
        :raises InputRejected: the table cannot be read, or has no row.
        """
        self.name, self.columns = file.name, columns
        wanted = dict.fromkeys((columns.image, *columns.fields.values(), *([columns.id] if columns.id else [])))
        frame = file.read(list(wanted))
        if not len(frame):
            raise InputRejected(f"The table {file.name} has no row.")
        self._cells = {name: _plain(frame[name].array) for name in wanted}
        self._here = os.getcwd()
        self._words = UsualWords(schema)
        keys = np.fromiter((_name(str(cell)).key for cell in self._cells[columns.image]), np.uint64, len(frame))
        self._order: NDArray[np.int64] = np.argsort(keys, kind="stable")
        self._keys: NDArray[np.uint64] = keys[self._order]

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def repeats(self) -> bool:
        """Whether two rows may name the same picture."""
        return bool((self._keys[1:] == self._keys[:-1]).any())

    def rows_of(self, file: FoundFile) -> list[int]:
        """Find the rows about a file: none, one, or several that differ in something."""
        own = _name(os.path.normpath(os.path.join(self._here, file.path)))
        key = np.uint64(own.key)  # a Python int may be taken for int64, which makes floats of the whole column
        first, last = self._keys.searchsorted(key, "left"), self._keys.searchsorted(key, "right")
        fitting = [(fit, int(row)) for row in self._order[first:last] if (fit := self._fit(own, int(row)))]
        best = max((fit for fit, _ in fitting), default=None)
        rows = [row for fit, row in fitting if fit == best]
        if len(rows) == 1:
            return rows
        return rows[:1] if len({self._content(row) for row in rows}) == 1 else rows

    def _fit(self, own: _Name, row: int) -> tuple[int, bool] | None:
        """Say how exactly a row names a file; None: it does not."""
        named = _name(str(self._cells[self.columns.image][row]))
        if named.ending and named.ending != own.ending:
            return None
        shared = 0
        for ours, theirs in zip(reversed(own.parts), reversed(named.parts), strict=False):
            if ours != theirs:
                break
            shared += 1
        if shared < (min(_FEWEST_SHARED, len(named.parts)) if named.absolute else len(named.parts)):
            return None
        return shared, bool(named.ending)

    def _content(self, row: int) -> tuple[str, ...]:
        return (*map(str, self.values(row).values()), self.id_of(row) or "")

    def values(self, row: int) -> dict[str, ClinicalValue]:
        """Give the clinical values of a row, by field, as text."""
        cells = {name: str(self._cells[column][row]) for name, column in self.columns.fields.items()}
        return {name: self._words.read(name, cell) for name, cell in cells.items()}

    def id_of(self, row: int) -> str | None:
        """Give what the results carry of a row; None where no column was named."""
        return None if self.columns.id is None else str(self._cells[self.columns.id][row])

    def name_of(self, row: int) -> str:
        """Give the picture's name as the row has it."""
        return shown(str(self._cells[self.columns.image][row]))

    def place_of(self, row: int) -> str:
        """Name a row in messages."""
        return f"row {row + _FIRST_ROW} of {self.name}"


def _plain(cells: Any) -> Any:
    """Give what text lies in, where pandas has it in Arrow: a cell by way of pandas takes ten times as long."""
    return cells.__arrow_array__() if hasattr(cells, "__arrow_array__") else cells
