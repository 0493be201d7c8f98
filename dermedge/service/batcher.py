"""Requests that come while the network is at work are answered together by its next run; an idle one waits for none.

So one request alone is answered at once, and under load a batch grows by itself to what has come meanwhile: there is
no waiting time to set. The queue is bounded: what does not fit is refused at once, not answered too late.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from dermedge_runtime.inputs.patients import Patient
from dermedge_runtime.inputs.prepared_picture import PreparedPicture
from dermedge_runtime.prediction import Prediction

from .problems import busy

_Result = TypeVar("_Result")
Entry: TypeAlias = tuple[PreparedPicture, Patient]
Run: TypeAlias = Callable[[Sequence[Entry], str | None], list[Prediction]]
"""Answers entries in one run of the network, explaining one class."""


@dataclass(slots=True)
class _Waiting:
    entries: Sequence[Entry]
    target: str | None
    until: float
    answer: asyncio.Future[list[Prediction]] = field(repr=False)


class Batcher:
    """The queue before one network."""

    def __init__(self, run: Run, *, most: int = 8, longest: int = 64) -> None:
        """Take no request yet; `start` does.

        :param most: pictures of one run of the network.
        :param longest: pictures that may wait.
        """
        self._run, self._most, self._longest = run, most, longest
        self._queue: deque[_Waiting] = deque()
        self._came = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.runs = 0
        """Runs of the network so far."""

    @property
    def waiting(self) -> int:
        """Pictures in the queue."""
        return sum(len(each.entries) for each in self._queue)

    def start(self) -> None:
        """Begin to answer, on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """Answer what waits, take nothing new, and end."""
        self._closing = True
        self._came.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown(wait=True)

    async def answer(self, entries: Sequence[Entry], target: str | None, seconds: float) -> list[Prediction]:
        """Answer the pictures of one request, in their order.

        :param target: code of the class to explain; None: the predicted one of each.
        :param seconds: after which nobody needs the answer any more.
        :raises Problem: the queue is full, the service ends, or it took longer.
        """
        if self._closing:
            raise busy("The service is ending. Ask again once it is back.", 5)
        if self._queue and self.waiting + len(entries) > self._longest:
            raise busy(f"{self.waiting} pictures are waiting already. Ask again in a moment.")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(entries, target, loop.time() + seconds, loop.create_future())
        self._queue.append(waiting)
        self._came.set()
        try:
            return await asyncio.wait_for(waiting.answer, seconds)
        except TimeoutError:
            raise busy(f"There was no answer within {seconds:g} s. Ask again in a moment.") from None

    async def alone(self, work: Callable[[], _Result]) -> _Result:
        """Do something else with the network, between its runs."""
        if self._closing:
            raise busy("The service is ending. Ask again once it is back.", 5)
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._queue:
                if self._closing:
                    return
                self._came.clear()
                await self._came.wait()
                continue
            together = self._next(loop.time())
            if not together:
                continue
            entries = [entry for each in together for entry in each.entries]
            try:
                answers = await loop.run_in_executor(self._thread, self._run, entries, together[0].target)
            except Exception as error:  # whatever it is, it is these requests' and not the next ones'
                for each in together:
                    if not each.answer.done():
                        each.answer.set_exception(error)
                continue
            self.runs += 1
            for each in together:
                own, answers = answers[: len(each.entries)], answers[len(each.entries) :]
                if not each.answer.done():
                    each.answer.set_result(own)

    def _next(self, now: float) -> list[_Waiting]:
        """Take the requests of the next run: the oldest, and those behind it that explain the same class and fit.

        Requests that nobody waits for any more, cancelled or too late, are dropped.
        """
        together: list[_Waiting] = []
        room = self._most
        while self._queue:
            first = self._queue[0]
            if first.answer.done() or first.until <= now:
                self._queue.popleft()
                continue
            if together and (len(first.entries) > room or first.target != together[0].target):
                break
            together.append(self._queue.popleft())
            room -= len(first.entries)
        return together
