"""Puts a log's lines on the disk in the background, at most once a second, so that no answer waits for the disk.

A kill of the process loses nothing either way: the system has every line already. A power cut loses what came in the
last second; who must not lose that asks for a sync with every line, and pays a disk's milliseconds for every answer.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

from dermedge_runtime.errors import DermedgeError

_AT_MOST_EVERY_S = 1.0


class SyncThread:
    """Calls a function soon after it was asked to, and not again before a second has passed."""

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._wanted, self._ended = Event(), Event()
        self._thread = Thread(target=self._run, name="audit-sync", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """Ask for a call."""
        self._wanted.set()

    def close(self) -> None:
        """End the thread; what it was asked for last may not be done."""
        self._ended.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            if self._ended.is_set():
                return
            self._wanted.clear()
            with suppress(DermedgeError):  # who writes the next line is told
                self._sync()
            self._ended.wait(_AT_MOST_EVERY_S)
