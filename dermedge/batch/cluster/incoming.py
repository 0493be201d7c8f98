"""The pipeline of Ray Data, and its answers as they come; a signal ends the wait for the next one."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from types import FrameType
from typing import Any

from dermedge.batch.census import KnownFile

from .messages import BlockAnswer, answers_of, files_table
from .pool_size import PoolSize
from .ray_errors import told
from .worker import Attempts, Task, Worker

_ROUNDS = 16
"""Blocks of each worker at least, where there are enough files, so that all end at about the same time."""
_FEWEST, _MOST = 16, 512
"""Files of a block: at its end a worker waits a moment for the last ones."""
_MORE_ON_GPUS = 4


def block_size(files: int, size: PoolSize) -> int:
    """Choose how many files are given to a worker at once."""
    most = _MOST * (_MORE_ON_GPUS if size.gpus else 1)
    return max(_FEWEST, min(most, files // (_ROUNDS * max(1, size.workers))))


def blocks_of(files: Iterable[KnownFile], count: int) -> list[Any]:
    """Pack files into tables of one cell."""
    coming, blocks = iter(files), []
    while piece := list(islice(coming, count)):
        blocks.append(files_table(piece))
    return blocks


class Incoming:
    """Answers of the workers, in whatever order they come."""

    def __init__(self, blocks: Sequence[Any], task: Task, model: Any, size: PoolSize, *, growing: bool) -> None:
        """Plan the work; nothing begins yet.

        :param model: Ray's reference to the bytes of the model file.
        :param growing: a worker more for every machine that joins meanwhile.
        """
        import ray.data

        workers = min(size.workers, len(blocks))
        pool = {"min_size": 1, "initial_size": workers} if growing else {"size": workers}
        self._data = ray.data.from_arrow(list(blocks)).map_batches(
            Worker,
            batch_size=None,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(**pool),
            fn_constructor_args=(task, model, _attempts()),
            num_cpus=size.cpus,
            num_gpus=size.gpus or None,
        )

    def answers(self, stop: object) -> Iterator[BlockAnswer]:
        """Give the answers until all have come, or somebody wants an end.

        :param stop: true once nothing more is wanted.
        :raises DermedgeError: a worker cannot work, or its process ended again and again.
        """
        batches = iter(self._data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0))
        while not stop:
            try:
                with _heard_at_once():
                    batch = next(batches, None)
            except _Stopped:
                return
            except Exception as error:
                raise told(error) from error
            if batch is None:
                return
            for answer in answers_of(batch):
                if answer.failure is not None:
                    raise answer.failure
                yield answer


def _attempts() -> Any:
    """Start the counter of attempts, on this machine: whatever other one ends, its count goes on."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here)(Attempts).remote()


class _Stopped(KeyboardInterrupt):
    """A signal came while nothing was at work in this process."""


@contextmanager
def _heard_at_once() -> Iterator[None]:
    """Let a signal end the wait of the body, after whatever else it does: the next answer may be minutes away."""
    before: dict[int, Any] = {}

    def hear(number: int, frame: FrameType | None) -> None:
        if callable(handler := before[number]):
            handler(number, frame)
        raise _Stopped

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError):  # not in the main thread: then signals are somebody else's
                before[number] = signal.getsignal(number)
                signal.signal(number, hear)
        yield
    finally:
        for caught, handler in before.items():
            if signal.getsignal(caught) is hear:
                signal.signal(caught, handler)
