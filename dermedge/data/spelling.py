"""How words of tables and schemas are compared: what they say counts, not how they are spelt or encoded.

Also which words say that something is missing, and what is a number.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Literal

_NO_ID = frozenset(
    {
        "",
        "na",
        "n/a",
        "n\\a",
        "n/k",
        "n.a.",
        "n.a",
        "n. a.",
        "tbd",
        "k.a.",
        "k. a.",
        "nan",
        "nat",
        "none",
        "null",
        "nil",
        "unknown",
        "missing",
        "undefined",
    }
    | {"unspecified", "not available", "not applicable", "not known", "not given", "empty", "unbekannt", "-1", "-1.0"}
)
_MADE_OF_NOTHING = re.compile(r"(?:.*[^a-z0-9])?(?:nan|none|null)")
"""PAT_nan: a program has put a prefix before a missing number."""


NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
"""What a cell may hold; `float` alone would take 5_5 for 55."""


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


def names_nothing(group_id: str) -> bool:
    """Whether an id is a word or a sign for a missing one, however it is written: NaN, n/a, <NA>, #N/A, -, ?."""
    word = fold(group_id)
    bare = word.strip("<>#!()[]'\"* ")
    return bare in _NO_ID or bool(_MADE_OF_NOTHING.fullmatch(bare)) or not any(sign.isalnum() for sign in word)
