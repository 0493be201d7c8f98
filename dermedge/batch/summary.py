"""What a run came to: counts by class and decision, what was rejected, and the few cases that a person sees first."""

from __future__ import annotations

import heapq
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from dermedge_runtime.model.description import ModelSpec
from dermedge_runtime.result_row import Row

WORST = 200
"""Cases that are kept for the page."""
_URGENCY = {"refer": 2, "unsure": 1}


@dataclass(slots=True)
class Summary:
    """Counts over rows, those of earlier calls included."""

    spec: ModelSpec
    classes: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    earlier: int = 0
    """Rows of earlier calls."""
    begun: float = field(default_factory=time.monotonic)
    worst: list[tuple[tuple[float, float], int, Row]] = field(default_factory=list, repr=False)
    """A heap of the worst cases: how bad each is, and its row."""
    first_rejected: list[Row] = field(default_factory=list, repr=False)
    _order: Any = field(default_factory=count, repr=False)

    @property
    def answered(self) -> int:
        """Rows with an answer."""
        return self.classes.total()

    @property
    def rows(self) -> int:
        """All rows."""
        return self.answered + self.rejected

    def add_earlier(self, row: Row) -> None:
        """Count a row of an earlier call."""
        self.earlier += 1
        self.add(row)

    def add(self, row: Row) -> None:
        """Count a row."""
        if row.get("error"):
            self.rejected += 1
            if len(self.first_rejected) < WORST:
                self.first_rejected.append(row)
            return
        self.classes[str(row["label"])] += 1
        if decision := row.get("decision"):
            self.decisions[str(decision)] += 1
        entry = self._badness(row), -next(self._order), row
        if len(self.worst) < WORST:
            heapq.heappush(self.worst, entry)
        elif entry[:2] > self.worst[0][:2]:
            heapq.heapreplace(self.worst, entry)

    def worst_first(self) -> list[Row]:
        """Give the worst cases: those to refer, then the unsure, each by the probability of urgent classes."""
        return [row for _, _, row in sorted(self.worst, key=lambda entry: entry[:2], reverse=True)]

    def urgent_probability(self, row: Row) -> float:
        """Sum the probability of the urgent classes; of a file that names none, take that of the predicted class."""
        urgent = self.spec.decision.urgent if self.spec.decision is not None else ()
        codes = urgent or (str(row["label"]),)
        return sum(float(str(row.get(f"probability_{code}") or 0)) for code in codes)

    def _badness(self, row: Row) -> tuple[float, float]:
        return _URGENCY.get(str(row.get("decision")), 0), self.urgent_probability(row)

    def to_record(self) -> dict[str, Any]:
        """Give the counts, the seconds and the pictures a second, JSON-ready."""
        seconds = time.monotonic() - self.begun
        return {
            "pictures": self.rows,
            "answered": self.answered,
            "rejected": self.rejected,
            "earlier": self.earlier,
            "classes": dict(self.classes.most_common()),
            "decisions": dict(self.decisions.most_common()),
            "seconds": round(seconds, 2),
            "pictures_per_second": round((self.rows - self.earlier) / max(seconds, 1e-6), 1),
        }

    def text(self) -> str:
        """Give it as lines for the terminal."""
        record = self.to_record()
        now = self.rows - self.earlier
        lines = [f"{now:,} pictures in {record['seconds']:,.1f} s, {record['pictures_per_second']:,} a second"]
        if self.earlier:
            lines[0] += f"; with those of earlier calls {self.rows:,}"
        lines.append(f"  answered   {self.answered:,}")
        if self.rejected:
            lines.append(f"  rejected   {self.rejected:,}")
        for name, counts in (("decisions", self.decisions), ("classes", self.classes)):
            if counts:
                lines.append(f"  {name:<10} {_shares(counts)}")
        return "\n".join(lines)


def _shares(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {number:,} ({number / total:.1%})" for name, number in ordered)
