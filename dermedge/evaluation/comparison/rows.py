"""What a row of the comparison is: one image branch and fusion, under one protocol, with one way of training the trunk.

The trunk is the network that reads the picture, the image branch as a run has it. A row holds one run per seed.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from dermedge.training.run_names import run_name

PROTOCOLS = ("grouped", "paper")
TRUNKS = OWN, SHARED, NONE = "own", "shared", "none"
"""How the trunk of a row was trained: with its fusion, as another run's, or not at all (it has none: `NONE`, as its
image branch is then)."""
BASELINE = "image_only"
"""The fusion whose trunk the others share, and that they are compared with."""
ROW = ["protocol", "image_branch", "fusion", "trunk"]
"""Names of what tells one row from another, in this order."""

RECIPE_FOLDER = "recipe-"
"""What the names of the run folders of recipes begin with; they are no rows of the fusions' tables."""

Key: TypeAlias = tuple[str, str, str, str]
"""Protocol, image branch, fusion, trunk."""
Record: TypeAlias = dict[str, Any]
"""JSON-ready."""


def row_key(line: Record) -> Key:
    """Give the row that a line of a table or a record is of."""
    return line["protocol"], line["image_branch"], line["fusion"], line["trunk"]


def model_name(image_branch: str, fusion: str) -> str:
    """Name of a network: as its run is called, and the fusion alone where no picture is read."""
    return fusion if image_branch == NONE else run_name(image_branch, fusion)


def row_name(key: Key) -> str:
    """Name of a row in `latency.json` and among the settings."""
    protocol, image_branch, fusion, trunk = key
    return f"{protocol}/{model_name(image_branch, fusion)}/{trunk}"
