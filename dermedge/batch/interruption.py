"""Ctrl-C, and the signal that ends a job on a cluster, let the piece at work be finished; a second one ends at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Interruption:
    """Whether somebody wants the work to end."""

    signal: int = 0
    """Which signal came; 0: none."""

    def __bool__(self) -> bool:
        return bool(self.signal)

    @property
    def exit_code(self) -> int:
        """What shells know of a process that a signal has ended: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.signal


@contextmanager
def interruption() -> Iterator[Interruption]:
    """Note the first signal while the body runs; the second acts as it always did."""
    noted = Interruption()
    before: dict[int, object] = {}

    def note(number: int, _: FrameType | None) -> None:
        noted.signal = number
        _restore(before)
        with suppress(OSError):  # not by the stream, which may be in the middle of another line
            os.write(2, b"\ndermedge: stopping after the pictures at work; once more stops at once.\n")

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(ValueError):  # not in the main thread: then signals are somebody else's
            before[number] = signal.signal(number, note)
    try:
        yield noted
    finally:
        _restore(before)


def _restore(before: dict[int, object]) -> None:
    while before:
        number, handler = before.popitem()
        signal.signal(number, signal.SIG_DFL if handler is None else handler)  # type: ignore[arg-type]
