"""What a row of the comparison is: one fusion, under one protocol, with one way of training the trunk.

The trunk is the network that reads the picture. A row holds one run per seed.
"""

from __future__ import annotations

from typing import Any, TypeAlias

PROTOCOLS = ("grouped", "paper")
TRUNKS = OWN, SHARED, NONE = "own", "shared", "none"
"""How the trunk of a row was trained: with its fusion, as another run's, or not at all (it has none)."""
BASELINE = "image_only"
"""The fusion whose trunk the others share, and that they are compared with."""
ROW = ["protocol", "fusion", "trunk"]
"""Names of what tells one row from another, in this order."""

Key: TypeAlias = tuple[str, str, str]
"""Protocol, fusion, trunk."""
Record: TypeAlias = dict[str, Any]
"""JSON-ready."""


def row_key(line: Record) -> Key:
    """Give the row that a line of a table or a record is of."""
    return line["protocol"], line["fusion"], line["trunk"]


def row_name(key: Key) -> str:
    """Name of a row in `latency.json` and among the settings."""
    return "/".join(key)
