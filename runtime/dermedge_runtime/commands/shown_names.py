"""Names of files as one line of a message can show them."""

from __future__ import annotations

from collections.abc import Sequence

FEW = 5
"""Names that a message gives; the rest is counted."""


def shown(name: str) -> str:
    """Give a name as one line can show it: control characters, and bytes of no encoding, are escaped."""
    if name.isprintable():
        return name
    return "".join(c if _is_shown(c) else c.encode("unicode_escape").decode("ascii") for c in name)


def named(names: Sequence[str], count: int, most: int = FEW) -> str:
    """List names, and how many more there are."""
    listed = ", ".join(shown(name) for name in names[:most])
    return listed if count <= most else f"{listed} and {count - most} more"


def _is_shown(character: str) -> bool:
    blank = character >= "\xa0" and character.isspace() and character not in "\u2028\u2029"
    return blank or character.isprintable()
