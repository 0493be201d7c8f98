"""Time actions in turn, by the clock and by the CPU time that this process took: beside other work the second holds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_WARM_UP = 3
_PAUSE_S = 0.02
"""Between turns: idle threads of the contender before go on spinning, and their CPU time counts too."""


@dataclass(frozen=True, slots=True)
class Turns:
    """Seconds of every round, by name."""

    wall: Mapping[str, list[float]]
    cpu: Mapping[str, list[float]]
    """Of all threads of this process: contenders that are to be compared by it should have one."""


def cpu_turns(actions: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int = _WARM_UP) -> Turns:
    """Time actions in turn, each once per round, every other round in the opposite order."""
    for action in actions.values():
        for _ in range(warm_up):
            action()
    wall: dict[str, list[float]] = {name: [] for name in actions}
    cpu: dict[str, list[float]] = {name: [] for name in actions}
    order = list(actions)
    for turn in range(rounds):
        for name in order if turn % 2 == 0 else reversed(order):
            time.sleep(_PAUSE_S)
            started, spent = time.perf_counter(), time.process_time()
            actions[name]()
            spent, ended = time.process_time() - spent, time.perf_counter()
            wall[name].append(ended - started)
            cpu[name].append(spent)
    return Turns(wall, cpu)


def medians_ms(seconds: Mapping[str, list[float]]) -> dict[str, float]:
    """Give the median of every action in milliseconds."""
    return {name: round(1000 * statistics.median(values), 3) for name, values in seconds.items()}
