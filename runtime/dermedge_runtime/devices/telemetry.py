"""Turn ONNX Runtime's telemetry off before ONNX Runtime is imported.

Since version 1.32 its import makes a store below the user's cache folder (a device id and a queue of events, with all
of a model's metadata), and some seconds later it asks for its maker's host. Only an environment variable set before the
import prevents that. Processes that are started later inherit it. Whoever sets the variable keeps what it says.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

VARIABLE = "ORT_DISABLE_TELEMETRY"
_SINCE = (1, 32)
_state = {"too late": False}


def turn_off() -> None:
    """Set the variable, unless the user has set it to anything; an empty one is on for ONNX Runtime."""
    if not os.environ.get(VARIABLE, "").strip():
        _state["too late"] |= "onnxruntime" in sys.modules
        os.environ[VARIABLE] = "1"


def warn_if_too_late(ort: ModuleType) -> None:
    """Where ONNX Runtime was imported before this package, stop what can still be stopped and say so, once.

    Its own switch stops the events alone: the store is there, and a connection was still tried (1.32.0, Linux).

    :param ort: `onnxruntime`.
    """
    if not _state["too late"]:
        return
    _state["too late"] = False
    stop = getattr(ort, "disable_telemetry_events", None)
    if stop is not None:
        stop()
    if _version(ort) >= _SINCE:
        import logging

        logging.getLogger(__name__).warning(
            "onnxruntime %s was imported before dermedge_runtime: its telemetry store exists by now, and it may still"
            " ask for its maker's host. Import dermedge_runtime first, or set %s=1.",
            ort.__version__,
            VARIABLE,
        )


def _version(ort: ModuleType) -> tuple[int, ...]:
    numbers = str(getattr(ort, "__version__", "")).split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdecimal())
