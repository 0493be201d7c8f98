"""What must stay on one side of a split: photographs of one lesion (or patient), and files of one content.

An id is compared by what it says, not by how it is spelt. Not covered: splitting itself (`splits`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from .words import fold

if TYPE_CHECKING:
    from .samples import Sample

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
_WHOLE_NUMBER = re.compile(r"(?<![\w.])(\d+)\.0+(?![\w.])")
_LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")


def names_nothing(group_id: str) -> bool:
    """Whether an id is a word or a sign for a missing one, however it is written: NaN, n/a, <NA>, #N/A, -, ?."""
    word = fold(group_id)
    bare = word.strip("<>#!()[]'\"* ")
    return bare in _NO_ID or bool(_MADE_OF_NOTHING.fullmatch(bare)) or not any(sign.isalnum() for sign in word)


def group_key(group_id: str) -> str:
    """Give the form in which ids are compared.

    Spreadsheets change case, spaces, leading zeros and `12` to `12.0`. Two ids that are taken for one stay on one side
    of a split, which does no harm; one that is taken for two leaks.
    """
    return _LEADING_ZEROS.sub("", _WHOLE_NUMBER.sub(r"\1", fold(group_id)))


def groups_of(samples: Sequence[Sample]) -> list[str]:
    """Give every photograph the name of its group: the first, by the alphabet, of the ids that belong together.

    They belong together if they are spelt alike, or if a photograph of one is, byte for byte, one of the other.
    """
    ids = pd.Series([sample.lesion_id for sample in samples], dtype=object)
    content = pd.Series([sample.content or place for place, sample in enumerate(samples)], dtype=object)
    key, names = ids.map(group_key), sorted(set(ids))
    group = ids.map({name: place for place, name in enumerate(names)})
    while True:  # a copy of a copy joins what neither the id nor the content of the first joins
        joined = group.groupby(key).transform("min").groupby(content).transform("min")
        if joined.equals(group):
            return [names[place] for place in group]
        group = joined
