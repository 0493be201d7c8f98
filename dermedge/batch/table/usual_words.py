"""What tables usually write for a value, and no model's vocabulary has: M and F, N/A, a decimal comma."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dermedge_runtime.inputs.clinical import ClinicalSchema

_MISSING = frozenset({"#n/a", "n/a", "#na", "<na>", "null"})
"""Besides the runtime's own words for unknown; what spreadsheets, pandas and databases write."""
_SEX: Mapping[str, str] = {
    **dict.fromkeys(("f", "w", "woman", "weiblich", "femme", "mujer", "donna"), "female"),
    **dict.fromkeys(("m", "man", "männlich", "homme", "hombre", "uomo"), "male"),
}
_DECIMAL_COMMA = re.compile(r"-?\d+,(\d{1,2}|\d{4,})")
"""Three digits behind it may as well be thousands."""


class UsualWords:
    """Reads the cells of one table for one model."""

    def __init__(self, schema: ClinicalSchema) -> None:
        self._numeric = {field.name for field in schema.numeric}
        self._known = {
            field.name: frozenset(word.casefold() for word in (*field.vocabulary, *field.synonyms))
            for field in schema.categorical
        }

    def read(self, field: str, cell: str) -> str:
        """Give a cell as the model knows it; what it does not know either stays as it is, and will be refused.

        :param field: of the model.
        """
        text = cell.strip()
        word, known = text.casefold(), self._known.get(field, frozenset[str]())
        if word in known:
            return text
        if word in _MISSING:
            return ""
        if field in self._numeric and _DECIMAL_COMMA.fullmatch(text):
            return text.replace(",", ".")
        meant = _SEX.get(word)
        return meant if meant is not None and meant in known else text
