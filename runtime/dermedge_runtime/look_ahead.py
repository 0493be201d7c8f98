"""Work on the next items in threads while the caller is busy with the ones before: order kept, number bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from functools import partial
from itertools import islice
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def look_ahead(
    function: Callable[[_In], _Out],
    items: Iterable[_In],
    *,
    workers: int,
    ahead: int,
    alone: Callable[[_In], bool] = lambda item: False,
) -> Generator[_Out, None, None]:
    """Give `function(item)` for every item, in order.

    However the loop ends, by an error, an interruption or a `break`, no thread is left behind; work that has not begun
    is dropped.

    :param workers: threads; they help where the function leaves the interpreter's lock, as decoders do.
    :param ahead: most results that wait or are being made, at least 1.
    :param alone: tells which items are not for threads; they are worked on in the caller's own, when their turn comes.
    """
    # Not at the top: it takes 5 ms, and a single prediction does not need it.
    from concurrent.futures import ThreadPoolExecutor

    rest = iter(items)
    pending: deque[Callable[[], _Out]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="look-ahead")
    try:
        while True:
            for item in islice(rest, ahead - len(pending)):
                pending.append(partial(function, item) if alone(item) else pool.submit(function, item).result)
            if not pending:
                return
            yield pending.popleft()()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
