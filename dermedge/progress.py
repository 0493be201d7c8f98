"""One progress bar for everything that can take longer than two seconds: on standard error, only on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

_Item = TypeVar("_Item")


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
