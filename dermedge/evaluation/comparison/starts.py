"""What the image branches of a comparison started from, in words."""

from __future__ import annotations

from .rows import NONE, Record

RANDOM = "random weights"


def start_of(row: Record) -> str:
    """Say what the image branch of a row started from."""
    if row["image_branch"] == NONE:
        return "-"
    found = row["pretrained"]
    return f"{found['source']} ({found['licence']})" if found else RANDOM


def start_lines(record: Record) -> list[str]:
    """Say it of every image branch, one line each; nothing where all started from random weights, as in the paper."""
    measured = [row for row in record["rows"] if row["seeds"] and row["image_branch"] != NONE]
    if not any(row["pretrained"] for row in measured):
        return []
    return list(dict.fromkeys(f"{row['image_branch']} started from {start_of(row)}" for row in measured))
