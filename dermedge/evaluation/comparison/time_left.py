"""How long the rest of a comparison will take, from what its finished trainings took.

Cells of one image branch and trunk (whole networks, heads on shared features, clinical values alone) are taken to last
alike, and so are their measurements, with an INT8 file or without. What no cell has shown yet is not guessed: the sum
is then said to be more than what is known. Not covered: the latencies at the end, which are only mentioned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import pandas as pd

from dermedge.progress import duration

from .plan import Cell

_Training = tuple[str, str]
"""Kind of a training: image branch and trunk of its cell."""
_Measuring = tuple[str, str, bool]
"""Kind of a measurement: image branch and trunk of its cell, and whether an INT8 file is made of it."""


@dataclass(slots=True)
class TimeLeft:
    """Seconds that cells of each kind took, and the cells that are still to come."""

    to_come: list[Cell]
    with_int8: AbstractSet[Cell] = frozenset()
    """Cells of which an INT8 file is made and measured."""
    latency: bool = False
    """Whether the INT8 files are timed at the end."""
    training: dict[_Training, list[float]] = field(default_factory=dict)
    measuring: dict[_Measuring, list[float]] = field(default_factory=dict)

    def leave(self, *cells: Cell) -> None:
        """Take cells out of those that are still to come."""
        self.to_come = [cell for cell in self.to_come if cell not in cells]

    def trained(self, cell: Cell, seconds: float) -> None:
        """Note a finished training."""
        self.training.setdefault((cell.image_branch, cell.trunk), []).append(seconds)

    def measured(self, cell: Cell, seconds: float) -> None:
        """Note a finished measurement."""
        self.measuring.setdefault(self._kind(cell), []).append(seconds)

    def _kind(self, cell: Cell) -> _Measuring:
        return cell.image_branch, cell.trunk, cell in self.with_int8

    def text(self, current: Cell | None = None, current_seconds: float = 0.0) -> str:
        """Say what is left.

        :param current: the cell in work, whose measurement is still to come.
        :param current_seconds: what is left of its training.
        """
        parts: list[float | None] = [current_seconds]
        parts += [
            _mean(self.training.get((cell.image_branch, cell.trunk))) for cell in self.to_come if not cell.is_ensemble
        ]
        in_work = [] if current is None else [current]
        parts += [_mean(self.measuring.get(self._kind(cell))) for cell in (*in_work, *self.to_come) if not cell.member]
        known = [part for part in parts if part is not None]
        total, unknown = sum(known), len(known) < len(parts)
        then = ", then the latencies" if self.latency else ""
        if total < 1:
            return f"{'time left not known yet' if unknown else 'less than 1 s left'}{then}"
        return f"{'more than' if unknown else 'about'} {duration(total)} left{then}"


def _mean(seconds: Sequence[float] | None) -> float | None:
    return fmean(seconds) if seconds else None


def trained_seconds(history: Path) -> float | None:
    """Sum the epochs of a finished training; None where its history cannot be read."""
    try:
        return float(pd.read_csv(history, dtype={"seconds": float})["seconds"].sum())
    except (OSError, KeyError, ValueError):
        return None


def epochs_left(history: Sequence[Mapping[str, float]], epochs: int) -> float:
    """Seconds of the epochs that a training still has before it."""
    return (epochs - len(history)) * fmean(row["seconds"] for row in history) if history else 0.0
