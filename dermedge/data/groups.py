"""What must stay on one side of a split: photographs of one lesion (or patient), and files of one content.

An id is compared by what it says, not by how it is spelt. Not covered: splitting itself (`splits`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from .spelling import fold

if TYPE_CHECKING:
    from .samples import Sample

_WHOLE_NUMBER = re.compile(r"(?<![\w.])(\d+)\.0+(?![\w.])")
_LEADING_ZEROS = re.compile(r"(?<![\d.])0+(?=\d)")


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
