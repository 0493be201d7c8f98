"""What Ray raises, which may be pages, as one sentence that says what ended the work."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import DermedgeError

_LONGEST = 300
_RAISED = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception)\b: .+")
_ENDED = frozenset({"ActorDiedError", "ActorUnavailableError", "RayActorError", "WorkerCrashedError"})


def one_line(error: BaseException) -> str:
    """Give the line of a message that says what happened: the last one that a traceback ends with, or the last."""
    lines = [line.strip() for line in str(getattr(error, "strerror", None) or error).splitlines() if line.strip()]
    raised = [line for line in lines if _RAISED.match(line)]
    line = (raised or lines or [type(error).__name__])[-1]
    return shown(line[:_LONGEST].rstrip("."))


def told(error: BaseException) -> DermedgeError:
    """Turn what came out of a run into an error that the command line can tell."""
    kinds = {type(each).__name__ for each in _inside(error)}
    if "OutOfMemoryError" in kinds:
        why = "its machine ran out of memory. Give Ray fewer CPUs there, so that it starts fewer workers"
    elif "ModuleNotFoundError" in kinds or "ModuleNotFoundError" in str(error):
        why = f"{one_line(error)}. Every machine needs dermedge[ray], in one version"
    elif kinds & _ENDED:
        why = f"its process ended, and could not be started again ({one_line(error)})"
    else:
        why = one_line(error)
    return DermedgeError(f"A worker failed: {why}.")


def _inside(error: BaseException) -> Iterator[BaseException]:
    """Walk through what an error was caused by, as Python and as Ray keep it."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [getattr(each, "cause", None), each.__cause__, each.__context__]
