"""Time several actions in turn within one run, so that a machine that slows down slows all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping


def medians_ms(actions: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3) -> dict[str, float]:
    """Median milliseconds of every action, each run once per round."""
    for action in actions.values():
        for _ in range(warm_up):
            action()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            time.sleep(0.005)  # ONNX Runtime's threads spin for a moment after a run
            started = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - started)
    return {name: round(1000 * statistics.median(values), 3) for name, values in seconds.items()}
