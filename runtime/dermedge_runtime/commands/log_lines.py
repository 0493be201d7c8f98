"""What dermedge's packages say in Python's log, as lines on standard error.

One rule: a line of INFO, such as progress, is printed as it is; from WARNING upwards it starts with "dermedge: ".
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from .command_line import say

PACKAGES = ("dermedge", "dermedge_export", "dermedge_runtime")


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        prefix = "dermedge: " if record.levelno >= logging.WARNING else ""
        say(f"{prefix}{record.getMessage()}")


@contextmanager
def log_on_stderr() -> Iterator[None]:
    """Show the log of `PACKAGES` from INFO upwards; afterwards it is as it was before."""
    handler = _Lines(logging.INFO)
    loggers = [logging.getLogger(name) for name in PACKAGES]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
