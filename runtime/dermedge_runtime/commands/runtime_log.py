"""Show on standard error what the runtime library says in Python's log."""

from __future__ import annotations

import logging
from collections.abc import Callable


class _Lines(logging.Handler):
    def __init__(self, log: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log(f"dermedge: {record.getMessage()}")


def show_runtime_log(log: Callable[[str], None]) -> None:
    """Pass every line of the runtime library on, from INFO upwards."""
    logger = logging.getLogger("dermedge_runtime")
    logger.setLevel(logging.INFO)
    logger.addHandler(_Lines(log))
    logger.propagate = False
