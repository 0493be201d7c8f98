"""The results of one command in one file, begun, gone on with after any end, and finished.

CSV and JSON lines grow row by row. Parquet and Excel are made at the end from a journal of JSON lines beside them,
which stays, so that the same command can go on when new pictures come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermedge_runtime.commands.command_list import is_there
from dermedge_runtime.commands.option_types import nearest
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.result_row import Column, Row

from .finished_table import MOST_EXCEL_ROWS, not_installed, write_parquet, write_xlsx
from .owner_lock import only_writer
from .resume_index import ResumeIndex
from .row_file import RowFile
from .row_lines import CsvLines, JsonLines, RowLines
from .settings import require_same, settings_path, write_settings

Finish = Callable[[Path, Sequence[Column], Iterable[bytes]], None]
_MADE_AT_THE_END: Mapping[str, Finish] = {".parquet": write_parquet, ".xlsx": write_xlsx}
_NEEDS = {".parquet": "pyarrow", ".xlsx": "openpyxl"}
ENDINGS = (".csv", ".jsonl", *_MADE_AT_THE_END)
"""Of results files, in small letters."""


def check_target(target: Path, rows: int = 0) -> None:
    """See that results can be written under a name, before hours are spent on them.

    :param rows: how many there will be, at least.
    :raises UsageError: another ending, a folder, or more rows than the format holds.
    :raises DermedgeError: a package is missing that the format needs.
    """
    ending = target.suffix.lower()
    if ending not in ENDINGS:
        hint = nearest(ending, ENDINGS) if ending else "."
        raise UsageError(f"--out writes {', '.join(ENDINGS)}; {shown(str(target))} ends in none of them{hint}")
    if target.is_dir():
        raise UsageError(f"--out names a file, and {shown(str(target))} is a folder.")
    if ending == ".xlsx" and rows > MOST_EXCEL_ROWS:
        raise UsageError(
            f"An Excel sheet holds {MOST_EXCEL_ROWS:,} rows, and there are {rows:,} pictures. Take .parquet or .csv."
        )
    if (package := _NEEDS.get(ending)) is not None and not is_there(package):
        raise not_installed(package, ending)


@dataclass(slots=True)
class ResultsFile:
    """An open results file."""

    target: Path
    columns: tuple[Column, ...]
    index: ResumeIndex
    """The pictures that have their row already."""
    _file: RowFile
    _lines: RowLines

    @property
    def written(self) -> Path:
        """The file that the rows are appended to: the target, or its journal."""
        return self._file.path

    def append(self, rows: Sequence[Row]) -> None:
        """Write rows, all or none.

        :raises OSError: such as a full disk; everything before is there.
        """
        self._file.append(self._lines.lines(rows))

    def finish(self) -> None:
        """Make the target, where it is not what the rows are appended to.

        :raises DermedgeError: a package is missing, or the format does not hold so many rows.
        :raises OSError: it cannot be written; the journal is whole.
        """
        self._file.sync()
        if (make := _MADE_AT_THE_END.get(self.target.suffix.lower())) is not None:
            make(self.target, self.columns, self._file.lines())


@contextmanager
def open_results(
    target: Path,
    columns: tuple[Column, ...],
    settings: Mapping[str, Any],
    *,
    overwrite: bool = False,
    earlier: Callable[[Row], None] = lambda _: None,
) -> Iterator[ResultsFile]:
    """Begin a results file, or go on with it.

    :param columns: of every row; "file" and "frame" among them tell one picture from another.
    :param settings: JSON-ready; what must be the same to go on.
    :param overwrite: begin anew, whatever is there.
    :param earlier: gets the rows that are there.
    :raises UsageError: begun with other settings, or with other columns.
    :raises DermedgeError: another process writes it, or nobody can tell what it was made with.
    :raises OSError: it cannot be written.
    """
    ending = target.suffix.lower()
    lines: RowLines = CsvLines(columns) if ending == ".csv" else JsonLines()
    growing = target.with_name(f"{target.name}.journal.jsonl") if ending in _MADE_AT_THE_END else target
    with only_writer(target):
        if overwrite:
            for path in (growing, target, settings_path(target)):
                path.unlink(missing_ok=True)
        elif growing != target and target.exists() and not growing.exists():
            raise DermedgeError(
                f"{shown(str(target))} is there, but not {shown(growing.name)}, from which it is made."
                " Begin anew with --overwrite, or name another file."
            )
        begun = growing.exists() and growing.stat().st_size > 0
        if begun:
            require_same(target, settings)
        else:
            write_settings(target, settings)
        file = RowFile(growing)
        try:
            if file.empty:
                file.append(lines.header())
            results = ResultsFile(target, columns, ResumeIndex(), file, lines)
            _read_earlier(results, earlier)
            yield results
        finally:
            with suppress(OSError):  # whatever went wrong with the disk was said before
                file.close()


def _read_earlier(results: ResultsFile, earlier: Callable[[Row], None]) -> None:
    reading = results._file.lines()
    if (header := results._lines.header()) and next(reading, None) != header.rstrip(b"\n"):
        raise UsageError(
            f"{shown(str(results.target))} has other columns than this model's results."
            " Begin anew with --overwrite, or name another file."
        )
    for number, line in enumerate(reading, 2 if header else 1):
        row = results._lines.row(line)
        if row is None or "file" not in row:
            raise DermedgeError(
                f"Line {number} of {shown(str(results.written))} is no row of these results; it was changed since."
                " Begin anew with --overwrite, or name another file."
            )
        results.index.add(row["file"], row.get("frame"))
        earlier(row)
