"""How many workers fit a cluster, and what each may use: a GPU each with its share of the CPUs, else one CPU each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dermedge_runtime.errors import DermedgeError, DeviceUnavailable

GPU_DEVICES = ("rtx", "cuda", "tensorrt")


@dataclass(frozen=True, slots=True)
class PoolSize:
    """Workers of a cluster."""

    workers: int
    cpus: float
    """Of each, as Ray counts them."""
    gpus: float

    @property
    def threads(self) -> int:
        """Threads of each: of the network on CPUs, and of reading."""
        return max(1, math.floor(self.cpus))


def pool_size(nodes: Iterable[Mapping[str, Any]], *, on_gpus: bool) -> PoolSize:
    """Fit workers to the machines of a cluster.

    :param nodes: as `ray.nodes()` gives them.
    :param on_gpus: a GPU for each worker.
    :raises DeviceUnavailable: no GPU in the cluster.
    :raises DermedgeError: no CPU in it.
    """
    machines = [node["Resources"] for node in nodes if node["Alive"]]
    if on_gpus:
        having = [(each["GPU"], each.get("CPU", 0)) for each in machines if each.get("GPU", 0) >= 1]
        if not having:
            raise DeviceUnavailable("The Ray cluster has no GPU; start its machines with GPUs, or take --device cpu.")
        share = min(cpus / gpus for gpus, cpus in having)
        return PoolSize(sum(int(gpus) for gpus, _ in having), math.floor(share) or share, 1)
    cpus = [int(each["CPU"]) for each in machines if each.get("CPU", 0) >= 1]
    if not cpus:
        raise DermedgeError("The Ray cluster has no machine with a CPU for workers; start some, such as `ray start`.")
    return PoolSize(sum(cpus), 1, 0)
