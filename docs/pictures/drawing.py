"""A few shapes in SVG: enough for a diagram that a text editor and `git diff` can read."""

from __future__ import annotations

from html import escape
from pathlib import Path

from dermedge_runtime.files import write_text

_LINE = "#3b4a63"
_STYLE = "font-family='system-ui, sans-serif' fill='#1d2635'"


class Drawing:
    """A white sheet; coordinates in pixels, the origin at the top left."""

    def __init__(self, width: int, height: int, title: str) -> None:
        """Begin a sheet.

        :param title: read aloud in place of the picture.
        """
        self._parts = [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img'>",
            f"<title>{escape(title)}</title>",
            f"<defs><marker id='head' viewBox='0 0 10 10' refX='9' refY='5' markerWidth='7' markerHeight='7'"
            f" orient='auto'><path d='M0 0 L10 5 L0 10 z' fill='{_LINE}'/></marker></defs>",
            f"<rect width='{width}' height='{height}' fill='white'/>",
        ]

    def box(self, x: int, y: int, width: int, height: int, name: str, *words: str, fill: str = "#e8eef7") -> None:
        """Draw a named box with smaller lines of text below its name."""
        self._rectangle(x, y, width, height, f"fill='{fill}' stroke='{_LINE}'")
        middle, first = x + width // 2, y + height // 2 + 5 - 9 * len(words)
        self.text(middle, first, name, size=13, weight="bold")
        for line, text in enumerate(words, start=1):
            self.text(middle, first + 18 * line, text, size=11)

    def frame(self, x: int, y: int, width: int, height: int, name: str) -> None:
        """Draw a dashed frame with a title inside its upper edge."""
        self._rectangle(x, y, width, height, f"fill='none' stroke='{_LINE}' stroke-dasharray='6 4'")
        self.text(x + width // 2, y + 24, name, size=14)

    def arrow(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Draw an arrow."""
        ends = f"x1='{start[0]}' y1='{start[1]}' x2='{end[0]}' y2='{end[1]}'"
        self._parts.append(f"<line {ends} stroke='{_LINE}' stroke-width='1.5' marker-end='url(#head)'/>")

    def text(self, x: int, y: int, text: str, *, size: int = 13, weight: str = "normal") -> None:
        """Write a line, centred on `x`."""
        place = f"x='{x}' y='{y}' text-anchor='middle' font-size='{size}' font-weight='{weight}'"
        self._parts.append(f"<text {place} {_STYLE}>{escape(text)}</text>")

    def save(self, path: Path) -> None:
        """Write the file."""
        write_text(path, "\n".join([*self._parts, "</svg>", ""]))

    def _rectangle(self, x: int, y: int, width: int, height: int, style: str) -> None:
        self._parts.append(f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='6' {style}/>")
