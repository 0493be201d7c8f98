"""What we measured of the recipes: the record of a comparison that dermedge ships, once there is one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from dermedge.tables import interval_text

FILE = "measured.json"
"""A copy of the `recipes.json` that `dermedge compare --recipes` writes."""
PROTOCOL = "grouped"
"""The protocol whose figures are shown."""


def measured_record() -> dict[str, Any] | None:
    """Read the record; None where none is shipped."""
    file = files("dermedge.recipes") / FILE
    if not file.is_file():
        return None
    record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record


def measured_rows() -> dict[str, dict[str, Any]]:
    """Give the rows that are measured, by the name of their recipe."""
    record = measured_record() or {"rows": []}
    return {
        row["recipe"]: row for row in record["rows"] if row["recipe"] and row["protocol"] == PROTOCOL and row["seeds"]
    }


def figure_text(row: Mapping[str, Any] | None, name: str = "balanced_accuracy") -> str:
    """Give a figure of a row with its interval; a dash where it has none."""
    found = None if row is None else row["figures"].get(name)
    return interval_text(None if found is None else {**found, "value": found["mean"]})
