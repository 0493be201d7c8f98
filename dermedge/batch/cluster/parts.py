"""Rows as Parquet files in a folder, part after part: each whole or absent, gone on with by the next call.

One process writes, the one that the command was given to: a row comes to it once, so that none is doubled, whatever
ends in between. What has come and is not in a part yet, at most a minute's rows, is done again after a kill.
"""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from dermedge.batch.results.finished_table import parquet_schema
from dermedge.batch.results.owner_lock import only_writer
from dermedge.batch.results.resume_index import ResumeIndex
from dermedge.batch.results.settings import compare
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.result_row import Column, Row

from .addresses import is_address
from .folders import Folder, folder_at

SETTINGS = "_settings.json"
"""Readers of Parquet folders pass over names that begin so."""
_PART = re.compile(r"part-(\d{6,})\.parquet")
_ROWS, _SECONDS = 50_000, 60.0
"""After which a part is written, whichever comes first."""


class Parts:
    """An open folder of parts."""

    def __init__(self, folder: Folder, columns: tuple[Column, ...]) -> None:
        self.done = ResumeIndex()
        """Files whose pictures have their rows; by file alone, because all pictures of one come in one piece."""
        self._folder, self._schema = folder, parquet_schema(columns)
        self._seen = _seen_by_summary(columns)
        self._next, self._waiting, self._written = 1, list[Any](), time.monotonic()

    def append(self, rows: Any) -> list[Row]:
        """Take rows; they are in a part before long.

        :param rows: an Arrow table.
        :return: what a summary needs of them.
        :raises OSError: a part cannot be written.
        :raises DermedgeError: its address cannot be reached.
        """
        self._waiting.append(rows)
        long_ago = time.monotonic() - self._written >= _SECONDS
        if long_ago or sum(table.num_rows for table in self._waiting) >= _ROWS:
            self.write()
        found: list[Row] = rows.select(self._seen).to_pylist()
        return found

    def write(self) -> None:
        """Write what has come as a part.

        :raises OSError: it cannot be written.
        :raises DermedgeError: its address cannot be reached.
        """
        self._written = time.monotonic()
        if not self._waiting:
            return
        import pyarrow
        import pyarrow.parquet

        content = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.concat_tables(self._waiting), content)
        self._folder.write(f"part-{self._next:06}.parquet", content.getvalue())
        self._next, self._waiting = self._next + 1, []

    def read_earlier(self, names: list[str], earlier: Callable[[Row], None]) -> None:
        """Take note of the rows of earlier calls.

        :raises UsageError: they have other columns.
        :raises DermedgeError: a part is damaged.
        """
        import pyarrow
        import pyarrow.parquet

        for name in names:
            where = f"{self._folder.name.rstrip('/')}/{name}"
            try:
                part = pyarrow.parquet.ParquetFile(io.BytesIO(self._folder.read(name)))
                if not part.schema_arrow.equals(self._schema):
                    raise UsageError(
                        f"{shown(where)} has other columns than this model's results. Begin anew with --overwrite, or"
                        " name another folder."
                    )
                for piece in part.iter_batches(columns=self._seen):
                    for row in piece.to_pylist():
                        self.done.add(row["file"], None)
                        earlier(row)
            except (pyarrow.ArrowException, OSError) as error:
                raise DermedgeError(
                    f"{shown(where)} is damaged. Remove it, and the same command does its pictures again."
                ) from error
            self._next = max(self._next, int(name[len("part-") : -len(".parquet")]) + 1)


def check_place(place: str) -> None:
    """See that results can go into a folder of this name.

    :raises UsageError: a file, or a name of one.
    """
    if not is_address(place) and Path(place).is_file():
        raise UsageError(f"With --ray, --out names a folder, and {shown(place)} is a file; name another.")
    if place.lower().endswith((".csv", ".jsonl", ".xlsx")):
        raise UsageError(f"With --ray, --out names a folder of Parquet parts, and {shown(place)} is named like a file.")


@contextmanager
def open_parts(
    place: str,
    columns: tuple[Column, ...],
    settings: Mapping[str, Any],
    *,
    overwrite: bool,
    earlier: Callable[[Row], None],
) -> Iterator[Parts]:
    """Begin a folder of parts, or go on with it.

    :param place: path or address; one on a disk is locked meanwhile.
    :param settings: JSON-ready; what must be the same to go on.
    :param earlier: gets what a summary needs of the rows that are there.
    :raises UsageError: begun with other settings or columns, or a folder of other things.
    :raises DermedgeError: another process writes it, a part is damaged, or its address cannot be reached.
    :raises OSError: it cannot be written.
    """
    with nullcontext() if is_address(place) else only_writer(Path(place)):
        folder = folder_at(place)
        names = folder.names()
        ours = [name for name in names if _PART.fullmatch(name)]
        if overwrite:
            for name in [*ours, *([SETTINGS] if SETTINGS in names else [])]:
                folder.remove(name)
            names, ours = [name for name in names if name not in (*ours, SETTINGS)], []
        if SETTINGS in names or ours:
            compare(folder.read(SETTINGS) if SETTINGS in names else None, settings, kept=SETTINGS, target=folder.name)
        else:
            if others := [name for name in names if not name.startswith((".", "_"))]:
                raise UsageError(
                    f"{shown(place)} holds other files, {shown(others[0])} among them: name a folder of its own for"
                    " --out."
                )
            folder.write(SETTINGS, f"{json.dumps(dict(settings), indent=2, allow_nan=False)}\n".encode())
        parts = Parts(folder, columns)
        parts.read_earlier(ours, earlier)
        yield parts


def _seen_by_summary(columns: tuple[Column, ...]) -> list[str]:
    wanted = {"id", "file", "frame", "label", "decision", "reasons", "picture_faults", "error"}
    names = [column.name for column in columns]
    return [name for name in names if name in wanted or name.startswith("probability_")]
