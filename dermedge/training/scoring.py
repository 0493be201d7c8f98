"""The network's scoring as the training loop calls it: as it is, compiled, or with its gradients averaged over several
processes. The network itself stays what it is, so that its weights keep their names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dermedge.models.classifier import PatientClassifier
from dermedge_runtime.errors import DermedgeError

from .processes import Processes

Score: TypeAlias = Callable[[Tensor | None, Tensor | None], Tensor]
"""What is seen, pictures float [B, 3, H, W] or features float [B, C], and encoded values float [B, F] to logits float32
[B, classes]."""


class _Scoring(nn.Module):
    """What the averaging of gradients wraps: the network's parameters, and its scoring as the forward pass."""

    def __init__(self, network: nn.Module, score: Score) -> None:
        super().__init__()
        self.network, self.score = network, score

    def forward(self, visual: Tensor | None, clinical: Tensor | None) -> Tensor:
        return self.score(visual, clinical)


def training_score(network: PatientClassifier, processes: Processes, *, compiled: bool = False) -> Score:
    """Give `network.score` as a training calls it.

    :param network: on its device; with several processes, all take the first one's weights.
    """
    score = compile_score(network.score) if compiled else network.score
    if processes.count == 1:
        return score
    return DistributedDataParallel(_Scoring(network, score))


def compile_score(score: Score, backend: str = "inductor") -> Score:
    """Compile a scoring at its first call, anew for each of the two shapes of an epoch: the last batch may be smaller.

    :param backend: of torch.compile.
    :return: it raises DermedgeError where compiling fails, as without a C++ compiler.
    """
    from torch._dynamo.exc import TorchDynamoException  # a second of imports, for those who compile

    fast = torch.compile(score, dynamic=False, backend=backend)

    def scored(visual: Tensor | None, clinical: Tensor | None) -> Tensor:
        try:
            return fast(visual, clinical)
        except TorchDynamoException as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise DermedgeError(f"The network cannot be compiled here ({reason}). Train without --compile.") from error

    return scored
