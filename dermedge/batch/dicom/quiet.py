"""Keep pydicom from saying anything while we read: its warnings quote what they complain of, a patient's data among it.

Its log is silent only in a thread that is reading; its Python warnings, which know no threads, are ignored in the whole
process from the first reading on.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_MODULE = r"pydicom(\.|$)"
_reading = threading.local()


def _is_said_by_others(_: logging.LogRecord) -> bool:
    return not getattr(_reading, "on", False)


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Have pydicom neither warn nor log in this thread."""
    logging.getLogger("pydicom").addFilter(_is_said_by_others)  # which does nothing if it is there
    if not any(entry[0] == "ignore" and getattr(entry[3], "pattern", None) == _MODULE for entry in warnings.filters):
        warnings.filterwarnings("ignore", module=_MODULE)
    before, _reading.on = getattr(_reading, "on", False), True
    try:
        yield
    finally:
        _reading.on = before
