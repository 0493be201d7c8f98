"""Image and clinical features are aligned before they are fused (ALBEF: Li et al. 2021, arXiv:2107.07651, section 3.2).

Both are projected onto one sphere, where a picture is to lie near its own patient and far from others. Other patients
are those of the batch and the last ones before it, as slowly moving copies of both projections saw them (momentum).
What these copies hold for similar is a part of what is aimed at, for two patients may well be alike.

Different from there: the copies begin behind the pooled feature map, so that the image branch runs once; and neither
matching nor masked words are learnt, as there are no words.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from dermedge.config import TrainConfig
from dermedge.models.classifier import Head
from dermedge.models.clinical_branch import CLINICAL_FEATURES
from dermedge.models.fusion import fusion_class
from dermedge.models.image_head import IMAGE_FEATURES
from dermedge_runtime.errors import UsageError

from .processes import Processes

WEIGHTS = "alignment."
"""What the names of weights begin with that are of the training alone, and in no file."""
_FEATURES = 64
_MOMENTUM = 0.995
_SOFT_SHARE = 0.4
"""Of the targets that the copies give, once they know something: reached in the course of the first epoch."""
_REMEMBERED = 1024
"""Pairs before the batch; 65,536 there, where an epoch has millions."""
_FIRST_TEMPERATURE, _LEAST, _MOST = 0.07, 0.001, 0.5


class Alignment(nn.Module):
    """The loss between the image features and the clinical features of a network's head."""

    image_queue: Tensor
    """Of the slow copies, float [1024, 64], the newest first; `clinical_queue` has their partners."""
    clinical_queue: Tensor
    remembered: Tensor
    """Rows of the queues that are filled, int64."""

    def __init__(self, head: Head) -> None:
        """Watch a head that reads both: what goes through it in training is what `loss` compares.

        :param head: on the CPU; the network takes this module along to its device.
        """
        super().__init__()
        assert head.image is not None and head.clinical is not None
        self.image, self.clinical = nn.Linear(IMAGE_FEATURES, _FEATURES), nn.Linear(CLINICAL_FEATURES, _FEATURES)
        self.temperature = nn.Parameter(torch.tensor(_FIRST_TEMPERATURE))
        self._followed = ((head.image, self.image), (head.clinical, self.clinical))
        self.slow = nn.ModuleList(nn.Sequential(*copy.deepcopy(pair)) for pair in self._followed).requires_grad_(False)
        for name in ("image_queue", "clinical_queue"):
            self.register_buffer(name, torch.zeros(_REMEMBERED, _FEATURES))
        self.register_buffer("remembered", torch.zeros((), dtype=torch.int64))
        self._seen: dict[int, tuple[Tensor, Tensor]] = {}
        for side, (module, _) in enumerate(self._followed):
            module.register_forward_hook(lambda _, given, made, side=side: self._note(side, given[0], made))

    def _note(self, side: int, given: Tensor, made: Tensor) -> None:
        if self.training and torch.is_grad_enabled():
            self._seen[side] = given.detach(), made

    def loss(self, done: float) -> Tensor:
        """Give the mean of both directions' cross-entropy (equations 1, 2, 5 and 6 there) for the last batch, a scalar.

        :param done: epochs so far, with a fraction for the steps of this one.
        """
        (pooled, image), (values, clinical) = self._seen.pop(0), self._seen.pop(1)
        with torch.no_grad():
            self.temperature.clamp_(_LEAST, _MOST)
            slow_image, slow_clinical = (
                functional.normalize(module(given).float(), dim=1)
                for module, given in zip(self.slow, (pooled, values), strict=True)
            )
        fast_image = functional.normalize(self.image(image).float(), dim=1)
        fast_clinical = functional.normalize(self.clinical(clinical).float(), dim=1)
        known = int(self.remembered)
        image_queue, clinical_queue = self.image_queue[:known], self.clinical_queue[:known]
        soft = _SOFT_SHARE * min(1.0, done)
        one = self._toward(fast_image, slow_image, torch.cat([slow_clinical, clinical_queue]), soft)
        other = self._toward(fast_clinical, slow_clinical, torch.cat([slow_image, image_queue]), soft)
        self._remember(slow_image, slow_clinical)
        return (one + other) / 2

    def _toward(self, fast: Tensor, slow: Tensor, others: Tensor, soft: float) -> Tensor:
        """Cross-entropy of one direction, a scalar.

        :param fast: float [B, 64], of what learns; so is `slow`, of its copy.
        :param others: of the other modality, float [B + remembered, 64]: row i is the partner of `fast`'s row i.
        """
        with torch.no_grad():
            own = functional.one_hot(torch.arange(len(fast), device=fast.device), len(others)).float()
            target = soft * functional.softmax(slow @ others.T / self.temperature, dim=1) + (1 - soft) * own
        return functional.cross_entropy(fast @ others.T / self.temperature, target)

    def _remember(self, image: Tensor, clinical: Tensor) -> None:
        for queue, new in ((self.image_queue, image), (self.clinical_queue, clinical)):
            queue.copy_(torch.cat([new, queue])[:_REMEMBERED])
        self.remembered.copy_(torch.clamp(self.remembered + len(image), max=_REMEMBERED))

    @torch.no_grad()
    def follow(self) -> None:
        """Let the copies follow a step of the training (section 3.2 there)."""
        for module, pair in zip(self.slow, self._followed, strict=True):
            fast: Any = nn.ModuleList(pair)
            for slow, new in zip(module.parameters(), fast.parameters(), strict=True):
                slow.lerp_(new, 1 - _MOMENTUM)


def check_pairs(config: TrainConfig) -> None:
    """See that there are pairs to align.

    :raises UsageError: a fusion that does not read both modalities.
    """
    kind = fusion_class(config.fusion)
    if config.align and not (kind.uses_image and kind.uses_clinical):
        raise UsageError(f"--align aligns image and clinical features, and {config.fusion} reads one of them alone.")


def check_one_process(processes: Processes, *, compiled: bool) -> None:
    """See that all pairs are in one place.

    :raises UsageError: several processes or torch.compile.
    """
    if processes.count > 1 or compiled:
        raise UsageError("--align compares the pairs of one process as they are: leave torchrun and --compile, or it.")
