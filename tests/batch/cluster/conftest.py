"""Workers without Ray: the same code, called one block after the other in this process."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from dermedge.batch.cluster import ray_start, run_cluster
from dermedge.batch.cluster.messages import BlockAnswer, answers_of
from dermedge.batch.cluster.pool_size import PoolSize
from dermedge.batch.cluster.worker import Task, Worker

os.environ.update(ray_start._QUIET | ray_start._LOOPBACK)  # Ray reads them once, when any of these tests imports it


class Attempts:
    """The counter of attempts, as an actor's handle gives it."""

    def __init__(self, before: int = 0) -> None:
        self.begun: Counter[str] = Counter()
        self.begin = SimpleNamespace(remote=self._count)
        self._before = before

    def _count(self, block: str) -> int:
        self.begun[block] += 1
        return self.begun[block] + self._before


def answer_of(worker: Worker, block: Any) -> BlockAnswer:
    [answer] = answers_of(worker(block))
    return answer


class Incoming:
    """One worker, in this process."""

    def __init__(self, blocks: Sequence[Any], task: Task, model: bytes, size: PoolSize, *, growing: bool) -> None:
        self._blocks, self._worker = blocks, Worker(task, model, Attempts())

    def answers(self, stop: object) -> Iterator[BlockAnswer]:
        for block in self._blocks:
            answer = answer_of(self._worker, block)
            if answer.failure is not None:
                raise answer.failure
            yield answer


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")
    node = {"Alive": True, "Resources": {"CPU": 1.0}}

    free = iter([{}, {"CPU": 0.0}])  # as Ray tells it when it has just started

    def available() -> dict[str, float]:
        return next(free, {"CPU": 0.0 if os.environ.get("BUSY") else 1.0})

    @contextmanager
    def joined(address: str) -> Iterator[Any]:
        yield SimpleNamespace(nodes=lambda: [node], put=lambda content: content, available_resources=available)

    monkeypatch.setattr(ray, "get", lambda value: value)
    monkeypatch.setattr(run_cluster, "joined_ray", joined)
    monkeypatch.setattr(run_cluster, "Incoming", Incoming)
