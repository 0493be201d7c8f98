"""How words of tables and schemas are compared: what they say counts, not how they are spelt or encoded."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Literal


@lru_cache(maxsize=1 << 12)
def fold(text: str) -> str:
    """Give the form in which words of a table are compared: no case, "_" is a space, spaces count once.

    Nor does it matter how accents and wide letters are encoded, and signs that nobody sees are passed over.
    """
    return " ".join(visible(text, "NFKC").lower().replace("_", " ").split())


def visible(text: str, form: Literal["NFC", "NFKC"] = "NFC") -> str:
    """Give a text in one Unicode form, without signs of no width such as a byte order mark within it."""
    if text.isascii():
        return text
    return "".join(sign for sign in unicodedata.normalize(form, text) if unicodedata.category(sign) != "Cf")
