"""The lines of a table that cannot be used, told all at once; and cells that are read one by one, faults noted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pandas as pd

from dermedge_runtime.errors import InputRejected

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


def read_each(column: pd.Series[Any], read: Callable[[str], Any], bad: BadLines) -> pd.Series[Any]:
    """Read every different text of a column once; NaN where it cannot be read, or means unknown."""
    values, reasons = {}, {}
    for text in column.unique():
        try:
            values[text] = read(text)
        except InputRejected as error:
            reasons[text] = str(error)
    bad.add_each(column.map(reasons))
    return column.map(values)
