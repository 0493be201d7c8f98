"""Files and rows that belong together, those that do not, and those of which nobody can tell.

A row is never given to a file on a guess: where two rows that differ fit a file, or two files fit a row, the files
concerned are refused, each with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dermedge.batch.walk import FoundFile
from dermedge_runtime.commands.shown_names import named, shown
from dermedge_runtime.errors import InputRejected

from .patient_table import PatientTable

MOST_NAMED = 10
"""Names that a sentence about the join gives."""


class Told:
    """A count of names, and the first of them."""

    def __init__(self) -> None:
        self.count, self.first = 0, list[str]()

    def add(self, name: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.first) < MOST_NAMED:
            self.first.append(name)


class Join:
    """What fits what, counted over all files before any is read, and then told file by file."""

    def __init__(self, table: PatientTable) -> None:
        self.table = table
        self.files_without_row, self.files_of_two_rows = Told(), Told()
        self._files = np.zeros(len(table), np.uint32)

    def count(self, file: FoundFile) -> None:
        """Take note of a file."""
        rows = self.table.rows_of(file)
        if not rows:
            self.files_without_row.add(file.path)
        elif len(rows) > 1:
            self.files_of_two_rows.add(file.path)
        for row in rows:
            self._files[row] += 1

    @property
    def rows_without_file(self) -> Told:
        """Rows that are about none of the files."""
        # Rows that say the same twice stand for each other.
        used = {self.table.name_of(int(row)) for row in np.flatnonzero(self._files)} if self.table.repeats else set()
        told = Told()
        for row in np.flatnonzero(self._files == 0):
            if (name := self.table.name_of(int(row))) not in used:
                told.add(name)
        return told

    @property
    def rows_of_two_files(self) -> Told:
        """Rows that fit several files."""
        told = Told()
        for row in np.flatnonzero(self._files > 1):
            told.add(self.table.name_of(int(row)))
        return told

    def row_of(self, file: FoundFile) -> int | None:
        """Give the row about a file, None where there is none; after all files were counted.

        :raises InputRejected: it cannot be told which.
        """
        rows = self.table.rows_of(file)
        if len(rows) > 1:
            places = " and ".join(self.table.place_of(row) for row in rows[:2])
            raise InputRejected(
                f"{shown(file.path)} is named twice, with different values: {places}. Keep one of them."
            )
        if rows and self._files[rows[0]] > 1:
            raise InputRejected(
                f"{self.table.place_of(rows[0])} fits {self._files[rows[0]]} files, {shown(file.path)} among them."
                " Write the folder and the ending of the one that is meant."
            )
        return rows[0] if rows else None

    def sentences(self) -> list[str]:
        """Say what did not find each other, one sentence for each kind."""
        kinds: Mapping[str, Told] = {
            "{} of {table} fit no file": self.rows_without_file,
            "{} of {table} fit several files, which are rejected": self.rows_of_two_files,
            "{} without a row in {table}, whose values are unknown": self.files_without_row,
            "{} named by several rows of {table} that differ, and rejected": self.files_of_two_rows,
        }
        told = []
        for text, names in kinds.items():
            if names.count:
                thing = "row" if text.startswith("{} of") else "picture"
                number = f"{names.count:,} {thing}{'' if names.count == 1 else 's'}"
                told.append(
                    f"{text.format(number, table=self.table.name)}: {named(names.first, names.count, MOST_NAMED)}."
                )
        return told
