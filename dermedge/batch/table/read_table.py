"""A table of patients as text, whatever program wrote it: CSV with any delimiter and encoding, Excel, Parquet.

Every cell comes as text, because what it means is the model's to say. Not covered: formulas without a stored value,
several sheets (the first one is read), CSV without a header.
"""

from __future__ import annotations

import codecs
import csv
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import InputRejected

if TYPE_CHECKING:
    from pandas import DataFrame

_log = logging.getLogger(__name__)
EXCEL, PARQUET = (".xlsx", ".xlsm"), (".parquet", ".pq")
_DELIMITERS = ",;\t|"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOKED_AT = 1 << 16
_LINES_COMPARED = 20


class TableFile:
    """A table that is opened in two steps: first the names of its columns, then those that are wanted."""

    def __init__(self, path: Path) -> None:
        """Find out how to read it.

        :raises InputRejected: it is missing, empty, or nothing that can be told safely.
        """
        self.path = path
        self.name = shown(path.name)
        self._encoding, self._delimiter = "", ""
        kind = path.suffix.lower()
        try:
            if kind in EXCEL or kind in PARQUET:
                with path.open("rb"):
                    pass
            else:
                self._encoding = _encoding(path, self.name)
                self._delimiter = _delimiter(path, self._encoding, self.name)
        except OSError as error:
            raise InputRejected(f"Cannot read the table {shown(str(path))}: {error.strerror or error}.") from error
        self.columns = self._header()
        """Names of the columns, as the table has them."""

    @property
    def how(self) -> str:
        """How it is read, for messages; empty for a format that says it itself."""
        if not self._delimiter:
            return ""
        named = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}[self._delimiter]
        return f"{self._encoding}, {named} between the columns"

    def read(self, columns: Sequence[str]) -> DataFrame:
        """Read some columns of all rows.

        :return: text; an empty cell is "".
        :raises InputRejected: it cannot be read to its end.
        """
        places = sorted({self.columns.index(name) for name in columns})
        with self._read_by_pandas():
            kind = self.path.suffix.lower()
            if kind in PARQUET:
                frame = _parquet(self.path, [self.columns[place] for place in places])
            elif kind in EXCEL:
                frame = _excel(self.path).iloc[:, places]
            else:
                self._require_even()
                frame = self._csv(usecols=places, header=0)
        frame.columns = [self.columns[place] for place in places]
        return frame

    def _header(self) -> tuple[str, ...]:
        with self._read_by_pandas():
            kind = self.path.suffix.lower()
            if kind in PARQUET:
                import pyarrow.parquet

                return tuple(pyarrow.parquet.ParquetFile(self.path).schema_arrow.names)
            # Pandas would give two columns of one name two names.
            first = _excel(self.path, header=None, nrows=1) if kind in EXCEL else self._csv(header=None, nrows=1)
            return tuple(str(name).strip() for name in first.iloc[0]) if len(first) else ()

    def _require_even(self) -> None:
        """See that no line has more cells than the header: pandas would drop them, and values be in wrong columns.

        :raises InputRejected: one has.
        """
        with self.path.open(encoding=self._encoding, newline="") as stream:
            rows = csv.reader(stream, delimiter=self._delimiter)
            for row in rows:
                if len(row) > len(self.columns) and any(cell.strip() for cell in row[len(self.columns) :]):
                    raise InputRejected(
                        f"Line {rows.line_num} of {self.name} has {len(row)} cells, and the header"
                        f" {len(self.columns)}: put quotes round cells that hold the delimiter."
                    )

    def _csv(self, **how: Any) -> DataFrame:
        import pandas as pd

        frame: DataFrame = pd.read_csv(
            self.path,
            dtype=str,
            sep=self._delimiter,
            encoding=self._encoding,
            keep_default_na=False,
            na_filter=False,
            skipinitialspace=True,
            index_col=False,
            **how,
        )
        return frame.fillna("")

    @contextmanager
    def _read_by_pandas(self) -> Iterator[None]:
        try:
            yield
        except InputRejected:
            raise
        except ImportError as error:
            raise InputRejected(
                f"To read {self.name}, {error.name or 'a package'} is needed. Run: pip install 'dermedge[batch]'"
            ) from error
        except Exception as error:  # pandas and its engines raise nearly anything for a broken file
            reason = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
            raise InputRejected(f"Cannot read the table {self.name}: {shown(reason)}.") from error


def _excel(path: Path, **how: Any) -> DataFrame:
    import pandas as pd

    frame: DataFrame = pd.read_excel(path, dtype=str, keep_default_na=False, engine="openpyxl", **how)
    return frame.fillna("")


def _parquet(path: Path, columns: list[str]) -> DataFrame:
    import pandas as pd

    frame = pd.read_parquet(path, columns=columns)
    return pd.DataFrame({name: _as_text(frame[name]) for name in frame.columns})


def _as_text(values: Any) -> Any:
    """Give a column as text; whole numbers without a fraction, as a column with gaps gives them one."""
    import pandas as pd

    if pd.api.types.is_float_dtype(values.dtype):
        return values.map(lambda value: "" if value != value else f"{value:.15g}").astype(str)
    return values.astype("string").fillna("").astype(str)


def _encoding(path: Path, name: str) -> str:
    """Tell the encoding by its mark, else UTF-8 where the whole file is; else Windows' western one, and say so.

    :raises InputRejected: the file is empty, or no text.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        first = stream.read(_LOOKED_AT)
        if not first.strip():
            raise InputRejected(f"The table {name} is empty.")
        for mark, encoding in _MARKS:
            if first.startswith(mark):
                return encoding
        if b"\0" in first:
            raise InputRejected(f"The table {name} is no text: save it as CSV in UTF-8, as .xlsx or as .parquet.")
        try:
            piece = first
            while piece:
                decoder.decode(piece)
                piece = stream.read(_LOOKED_AT)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            _log.warning(
                "%s is not UTF-8 and is read as Windows-1252; save it as UTF-8 if letters come out wrong.", name
            )
            return "cp1252"
    return "utf-8"


def _delimiter(path: Path, encoding: str, name: str) -> str:
    """Tell the delimiter: the one by which the first lines have the most columns, and all equally many.

    :raises InputRejected: two are as likely.
    """
    with path.open(encoding=encoding, errors="replace", newline="") as stream:
        text = stream.read(_LOOKED_AT)
    lines = text.splitlines(keepends=True)
    if len(text) == _LOOKED_AT and len(lines) > 1:
        lines.pop()  # it may be cut
    widths = {mark: _widths(lines, mark) for mark in _DELIMITERS}
    even = {mark: found[0] for mark, found in widths.items() if found and len(set(found)) == 1 and found[0] > 1}
    if not even:  # ragged, or a single column: what parts the header most
        even = {mark: found[0] for mark, found in widths.items() if found}
    most = max(even.values(), default=1)
    best = [mark for mark, count in even.items() if count == most]
    if len(best) > 1 and most > 1:
        raise InputRejected(
            f"Nobody can tell whether the columns of {name} are parted by {' or '.join(map(repr, best))}:"
            " save it with one of them alone, as .xlsx or as .parquet."
        )
    return best[0]


def _widths(lines: Sequence[str], mark: str) -> list[int]:
    rows = csv.reader(lines, delimiter=mark)
    widths = []
    try:
        for row in rows:
            if row:
                widths.append(len(row))
            if len(widths) == _LINES_COMPARED:
                break
    except csv.Error:
        return []
    return widths
