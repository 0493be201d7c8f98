"""One progress bar for everything that can take longer than two seconds: on standard error, only on a terminal; and
the same over work in threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def progress(items: Iterable[_Item], label: str, *, total: int | None = None, shown: bool = True) -> Iterable[_Item]:
    """Iterate `items` with a bar that appears after two seconds and leaves no line behind; none where not `shown`."""
    # Not at the top: reading a table shows a bar too, and works in the light install without one.
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        return items
    hidden = None if shown else True  # None: where no terminal listens
    bar: Iterable[_Item] = tqdm(items, desc=label, total=total, delay=2, leave=False, disable=hidden)
    return bar


def in_threads(function: Callable[[_Item], _Result], items: Sequence[_Item], label: str) -> Iterator[_Result]:
    """Call a function for every item, in as many threads as there are cores, with a bar; the results in order.

    For work that releases the interpreter lock, as Pillow, hashlib and reading do.
    """
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from progress(pool.map(function, items), label, total=len(items))


def duration(seconds: float) -> str:
    """Give seconds as text, such as 2 h 05 min."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if seconds >= 90 else f"{round(seconds)} s"
