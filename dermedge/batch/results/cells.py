"""What a cell of a row becomes in text: one line, and nothing that a spreadsheet would run as a formula."""

from __future__ import annotations

from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.result_row import Cell

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
SEPARATOR = "; "
"""Between the texts of a list."""


def text_of(cell: Cell) -> str | float | None:
    """Give a cell for CSV, Excel and Parquet: a number, one line of text, or None.

    Text that begins as a formula does gets an apostrophe before it, as spreadsheets write plain text themselves; line
    breaks, control characters and bytes of no encoding are escaped.
    """
    if cell is None or isinstance(cell, int | float):
        return cell
    text = shown(cell if isinstance(cell, str) else SEPARATOR.join(cell))
    return f"'{text}" if text.startswith(_FORMULA) else text
