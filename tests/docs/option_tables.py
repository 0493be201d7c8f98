"""The option tables of the page on the command line, made from the parser.

`python tests/docs/option_tables.py` writes them anew; a test compares them. Everything else on the page is written by
hand.
"""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from docs.parse_command import options

PAGE = Path(__file__).parents[2] / "docs" / "command-line.md"
_TABLE = re.compile(r"(<!-- options of ([\w-]+) -->\n).*?(<!-- end of options -->)", re.DOTALL)


def with_tables(text: str) -> str:
    """Give the page's text with every table as the parser has it now."""
    return _TABLE.sub(lambda found: f"{found[1]}\n{_table(found[2])}\n\n{found[3]}", text)


def tables_of(text: str) -> list[str]:
    """Names of the commands that have a table."""
    return [found[2] for found in _TABLE.finditer(text)]


def _table(command: str) -> str:
    shown = [(names, words) for names, words in options(command) if "--help" not in names]
    rows = [f"| `{_cell(names)}` | {_cell(words).replace('<', '&lt;')} |" for names, words in shown]
    return "\n".join(["| option | meaning |", "|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
