"""From an anatomic region, as DICOM codes it, to a word of the model's vocabulary, such as "upper extremity".

A region that is finer than the vocabulary becomes what it is part of; one that is coarser stays unknown.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from dermedge_runtime.errors import InputRejected
from dermedge_runtime.inputs.clinical import CategoricalField

SCHEMES = {"SNM3": "SRT", "99SDM": "SRT"}
"""Older designators of coding schemes -> the one of the table."""


@dataclass(frozen=True, slots=True)
class _Table:
    within: dict[str, str]
    words: dict[str, tuple[str, ...]]
    by_code: dict[tuple[str, str], str]
    by_body_part: dict[str, str]

    def words_of(self, region: str) -> Iterator[str]:
        """Give the words for a region, then those for what it is part of."""
        found: str | None = region
        while found is not None:
            yield from self.words[found]
            found = self.within.get(found)


@cache
def _table() -> _Table:
    entries: dict[str, Any] = tomllib.loads(files(__package__).joinpath("sites.toml").read_text(encoding="utf-8"))
    codes = {
        (code.split()[0], code.split()[1]): region
        for region, entry in entries.items()
        for same in entry.get("codes", [])
        for code in same
    }
    return _Table(
        within={region: entry["within"] for region, entry in entries.items() if "within" in entry},
        words={region: tuple(entry.get("words", ())) for region, entry in entries.items()},
        by_code=codes,
        by_body_part={part: region for region, entry in entries.items() for part in entry.get("body_parts", [])},
    )


def region_of_code(scheme: str, code: str) -> str | None:
    """Give the region of a code, such as ("SCT", "14975008"); None for one that is not in the table."""
    return _table().by_code.get((SCHEMES.get(scheme, scheme), code))


def region_of_body_part(text: str) -> str | None:
    """Give the region of a DICOM body part, such as "FOREARM"; None for one that is not in the table."""
    return _table().by_body_part.get(text.upper().replace(" ", ""))


def word_for(region: str, field: CategoricalField) -> str | None:
    """Give the vocabulary's word for a region, the finest it has; None where it has none."""
    for word in _table().words_of(region):
        if (found := _entry(field, word)) is not None:
            return found
    return None


def is_site(field: CategoricalField) -> bool:
    """Tell whether at least two words of a field's vocabulary are regions of the table."""
    known: Iterable[str] = {word for words in _table().words.values() for word in words}
    return len({found for word in known if (found := _entry(field, word)) is not None}) >= 2


def _entry(field: CategoricalField, word: str) -> str | None:
    try:
        index = field.parse(word)
    except InputRejected:
        return None
    return field.vocabulary[index] if index >= 0 else None
