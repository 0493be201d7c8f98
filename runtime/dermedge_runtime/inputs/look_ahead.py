"""Work on the next items in threads while the caller is busy with the ones before: order kept, number bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def look_ahead(
    function: Callable[[_In], _Out], items: Iterable[_In], *, workers: int, batch: int, ahead: int
) -> Generator[list[_Out], None, None]:
    """Give `function(item)` for every item, in order, as lists of `batch` of them, the last one shorter.

    Items are taken from `items` in the caller's thread. An error of theirs, or of the function, comes in its turn:
    after the results of the items before it, in a list that may be short. However the loop ends, by an error, an
    interruption or a `break`, no thread is left behind; work that has not begun is dropped.

    :param workers: threads; they help where the function leaves the interpreter's lock, as decoders do.
    :param ahead: most items that are taken and not given yet, where it is more than `batch`.
    """
    # Not at the top: it takes 5 ms, and a single prediction does not need it.
    from concurrent.futures import ThreadPoolExecutor

    rest: Iterator[_In] | None = iter(items)
    end: Any = object()
    failure: Exception | None = None
    pending: deque[Future[_Out]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="look-ahead")
    try:
        while True:
            while rest is not None and len(pending) < max(batch, ahead):
                try:
                    item = next(rest, end)
                except Exception as error:
                    failure, item = error, end
                if item is end:
                    rest = None
                else:
                    pending.append(pool.submit(function, item))
            done: list[_Out] = []
            while pending and len(done) < batch:
                try:
                    done.append(pending.popleft().result())
                except Exception as error:
                    failure, rest = error, None
                    pending.clear()
            if done:
                yield done
            if not pending and rest is None:
                break
        if failure is not None:
            raise failure
    finally:
        failure = None  # its traceback holds this frame
        pool.shutdown(wait=True, cancel_futures=True)
