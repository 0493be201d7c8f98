"""How far a long run is: one line that renews itself on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from contextlib import suppress
from shutil import get_terminal_size

_log = logging.getLogger(__name__)
_ON_A_TERMINAL_S, _ELSEWHERE_S = 0.2, 30.0
_RATE_OVER_S = 30.0
_BAR = 20


class ProgressLine:
    """Counts pictures, and says so on standard error."""

    def __init__(self, total: int) -> None:
        """Begin.

        :param total: pictures of this run.
        """
        self._total, self._done = total, 0
        self._terminal = sys.stderr is not None and sys.stderr.isatty()
        self._interval = _ON_A_TERMINAL_S if self._terminal else _ELSEWHERE_S
        self._marks = deque([(time.monotonic(), 0)])
        self._next = self._marks[0][0] + (0.5 if self._terminal else _ELSEWHERE_S)
        self._width = 0

    def add(self, count: int) -> None:
        """Count pictures that are done."""
        self._done += count
        if (now := time.monotonic()) >= self._next:
            self._next = now + self._interval
            self._marks.append((now, self._done))
            while len(self._marks) > 2 and now - self._marks[1][0] > _RATE_OVER_S:
                self._marks.popleft()
            self._say(self._text(now))

    def clear(self) -> None:
        """Take the line away, before something else is written."""
        if self._width:
            self._write(f"\r{' ' * self._width}\r")
            self._width = 0

    def _text(self, now: float) -> str:
        begun, before = self._marks[0]
        rate = (self._done - before) / max(now - begun, 1e-6)
        share = self._done / max(self._total, self._done, 1)
        bar = f"[{'#' * int(_BAR * share):<{_BAR}}] " if self._terminal else ""
        left = f", {_duration((self._total - self._done) / rate)} left" if rate else ""
        return f"{bar}{self._done:,} of {self._total:,} pictures ({share:.0%}), {rate:.1f} a second{left}"

    def _say(self, text: str) -> None:
        if not self._terminal:
            _log.info("%s", text)
            return
        text = text[: max(10, get_terminal_size().columns - 1)]
        self._write(f"\r{text:<{self._width}}")
        self._width = len(text)

    def _write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
