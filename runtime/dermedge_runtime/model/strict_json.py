"""JSON that means one thing: what a model file says about itself, read without surprises.

Refused: keys that stand twice in one object, NaN and infinity however they are spelled, nesting without end, and
characters that steer a terminal or turn the direction of a text, which would make a printed name lie.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

MOST_DEPTH = 32
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def read_json(text: str) -> dict[str, Any]:
    """Read one object.

    :raises ValueError: no JSON object, or something that the header of this file names.
    """
    try:
        record = json.loads(text, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels") from None
    if not isinstance(record, dict):
        raise ValueError("it is no JSON object")
    _walk(record)
    return record


def printable(text: str) -> str:
    """Give what a file says as part of a message: on one line, of sensible length, without what steers a terminal."""
    return _STEERING.sub("?", " ".join(text.split()))[:300]


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in record if names.count(name) > 1)
        raise ValueError(f"the entry '{twice[:100]}' stands there twice")
    return record


def _walk(record: dict[str, Any]) -> None:
    level: list[Any] = [record]
    for _ in range(MOST_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, float):
                if not math.isfinite(value):  # JSON has no such numbers; 1e999 is one too
                    raise ValueError("a number is NaN or infinity")
            elif isinstance(value, str):
                if _STEERING.search(value):
                    raise ValueError("a text holds characters that are not for printing")
            elif isinstance(value, dict):
                below += value
                below += value.values()
            elif isinstance(value, list):
                below += value
        if not below:
            return
        level = below
    raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels")
