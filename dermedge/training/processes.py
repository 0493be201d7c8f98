"""Several processes train one run together, one on each GPU or CPU, on one machine or many; `torchrun` starts them.

Every process holds the whole network and takes its share of every batch; gradients and batch statistics are those of
the whole batch. The first process alone validates, writes, logs and speaks. The run folder and the data have to lie
under the same paths on every machine. Not covered: a network split over devices, processes that come and go.

Accelerate and Lightning Fabric were tried in place of this module (`benchmarks/LOG.md`). They resume as it does and
save at most a dozen lines, but on CPUs they have no statistics of the whole batch, and turn fp16 into fp32 or bf16.
"""

from __future__ import annotations

import gc
import logging
import os
import platform
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import distributed as dist

from dermedge_runtime.devices.usable_cpus import usable_cpus
from dermedge_runtime.errors import DermedgeError, DeviceUnavailable, UsageError

_Result = TypeVar("_Result")
_Index = TypeVar("_Index", bound=NDArray[Any])
_PATIENCE = timedelta(hours=2)  # the others wait while the first decodes ten thousand pictures, or validates
_FIRST_SPEAKS_S = 20.0  # torchrun takes seconds to start and to end processes where all CPUs are busy


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of one training, as one of them sees them; by default there is one."""

    rank: int = 0
    """Of this process, 0 to `count` - 1."""
    count: int = 1
    local_rank: int = 0
    """Of this process among those of its machine, 0 to `local_count` - 1."""
    local_count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that validates, writes and logs."""
        return self.rank == 0

    @property
    def seed_offset(self) -> int:
        """What this process adds to a seed, so that all draw differently and every time the same; 0 in the first."""
        # On a CPU torch's generator heeds the lowest 32 bits of a seed; 22 of them are left to the epochs.
        return self.rank << 22

    def share_of(self, batch_size: int) -> int:
        """Photographs of a batch that fall to each process.

        :raises UsageError: the batch does not split evenly.
        """
        if batch_size % self.count:
            raise UsageError(
                f"A batch of {batch_size} photographs does not split evenly over {self.count} processes: choose a"
                f" --batch-size that is a multiple of {self.count}, or another number of processes."
            )
        return batch_size // self.count

    def whole(self, order: _Index) -> _Index:
        """Cut an epoch's order, int64 [N], so that its last batch splits evenly too.

        :raises UsageError: fewer photographs than processes.
        """
        if len(order) < self.count:
            raise UsageError(
                f"An epoch of {len(order)} photographs is too small for {self.count} processes: raise --per-class."
            )
        return cast(_Index, order[: len(order) - len(order) % self.count])

    def share(self, order: _Index) -> _Index:
        """Give this process's photographs of `whole`'s order: an even share of every batch, whatever its size."""
        return cast(_Index, order[self.rank :: self.count])

    def add_up(self, *totals: Tensor) -> None:
        """Replace tensors by their sums over all processes, in place."""
        if self.count > 1:
            for total in totals:
                dist.all_reduce(total)

    def each(self, step: Callable[[], _Result]) -> _Result:
        """Run a step on every process and wait for all.

        :raises DermedgeError: on every process the same, as the first that failed raised it; so with OSError.
        """
        if self.count == 1:
            return step()
        result, error = None, None
        try:
            result = step()
        except (DermedgeError, OSError) as caught:
            error = caught
        errors: list[Exception | None] = [None] * self.count
        dist.all_gather_object(errors, error)
        for failed in errors:
            if failed is not None:
                raise failed
        return cast(_Result, result)

    def from_first(self, compute: Callable[[], _Result]) -> _Result:
        """Let the first process compute something while the others wait, and give it to all; errors as in `each`."""
        result = self.each(lambda: compute() if self.first else None)
        if self.count > 1:
            carried = [result]
            dist.broadcast_object_list(carried)
            (result,) = carried
        return cast(_Result, result)


ALONE = Processes()


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that `torchrun` started with this one; without it, or of one process, `ALONE`.

    Whatever goes wrong is told by the first process: the others end without a word, or after it.
    """
    if not (dist.is_available() and dist.is_torchelastic_launched()) or int(os.environ["WORLD_SIZE"]) == 1:
        yield ALONE
        return
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    processes = Processes(*(int(os.environ[name]) for name in names))
    if not processes.first:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        logging.disable(logging.INFO)  # it would say what the first one says
    # Averaging gradients imports torch's compiler. Imported after the group was made, it holds on to the group for
    # ever; the group's threads then meet the end of the interpreter, and now and then the process aborts there.
    import torch._dynamo

    # Both: messages between the processes are on the CPU's side, so that waiting for the first never times a GPU out.
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=_PATIENCE)
    try:
        yield processes
    except BaseException as error:
        if isinstance(error, DermedgeError):
            dist.destroy_process_group()  # all raise it; after any other error this could wait for one that is gone
        if not processes.first:
            # As soon as one has ended, torchrun ends all others: the one that ends first is the one that is heard.
            time.sleep(_FIRST_SPEAKS_S)
        raise
    gc.collect()  # what averages gradients is full of cycles, and holds the group
    dist.destroy_process_group()


def torch_device(name: str, processes: Processes = ALONE) -> torch.device:
    """Turn cpu or cuda into a torch device; with several processes on this machine, cuda is the one of this process.

    :raises DeviceUnavailable: cuda without a usable GPU, or more processes on this machine than GPUs or usable CPUs.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceUnavailable(
            f"cuda was requested, but torch {torch.__version__} finds no usable GPU here."
            " Check the driver with nvidia-smi, or train with --device cpu."
        )
    if processes.count > 1:
        there, kind = (torch.cuda.device_count(), "GPUs") if name == "cuda" else (usable_cpus(), "CPUs")
        if processes.local_count > there:
            raise DeviceUnavailable(
                f"{processes.local_count} processes were started on {platform.node()}, but there are {there} usable"
                f" {kind}: give torchrun --nproc-per-node {there}, or fewer."
            )
        if name == "cuda":
            torch.cuda.set_device(processes.local_rank)
    return torch.device(name)
