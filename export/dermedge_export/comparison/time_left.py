"""How long the rest of a comparison will take, from what its finished trainings took.

Cells of one kind (whole networks, heads on shared features, clinical values alone) are taken to last alike. Before the
first of a kind is through, nothing is said about that kind but that it is missing from the sum.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from .plan import Cell


@dataclass(slots=True)
class TimeLeft:
    """Seconds that cells of each kind took, and the cells that are still to come."""

    to_come: list[Cell]
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def finished(self, cell: Cell, seconds: float) -> None:
        """Note a finished cell."""
        self.seconds.setdefault(cell.kind, []).append(seconds)

    def text(self, current_seconds: float = 0.0) -> str:
        """Say what is left.

        :param current_seconds: what is left of the cell in work.
        """
        means: Mapping[str, float] = {kind: fmean(values) for kind, values in self.seconds.items()}
        unknown = {cell.kind for cell in self.to_come} - means.keys()
        total = current_seconds + sum(means.get(cell.kind, 0.0) for cell in self.to_come)
        if unknown and not total:
            return "time left not known yet"
        return f"{'more than ' if unknown else 'about '}{duration(total)} left"


def trained_seconds(histories: Iterable[Path]) -> list[float]:
    """Sum the epochs of finished trainings; a history that cannot be read counts for nothing."""
    found = []
    for path in histories:
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                found.append(sum(float(row["seconds"]) for row in csv.DictReader(stream)))
        except (OSError, KeyError, ValueError, csv.Error):
            continue
    return found


def epochs_left(history: Sequence[Mapping[str, float]], epochs: int) -> float:
    """Seconds of the epochs that a training still has before it."""
    return (epochs - len(history)) * fmean(row["seconds"] for row in history) if history else 0.0


def duration(seconds: float) -> str:
    """Give seconds as text, such as 2 h 05 min."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if seconds >= 90 else f"{round(seconds)} s"
