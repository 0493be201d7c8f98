"""Heat outside the lesion costs, so that a network is right for the right reasons (Ross, Hughes and Doshi-Velez 2017,
arXiv:1703.03717; here of Grad-CAM in the place of input gradients, as in Li et al. 2018, arXiv:1802.10171).

    loss = loss on the labels + w x mean over the batch of (heat outside the lesion / all heat)

Heat is Grad-CAM of the diagnosis, in the cells of the feature map that is pooled. A cell is outside where no pixel of
it shows the lesion; the mask is turned and scaled with its picture. Masks are read for the training alone: validation,
test and the model file know nothing of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from dermedge.config import TrainConfig
from dermedge.data.batches.augment import changed, drawn_turns, turned
from dermedge.data.batches.lesion_data import Batch, LesionData, preparation_of
from dermedge.data.files.lesion_masks import mask_files, read_mask
from dermedge.data.samples import Sample
from dermedge.data.schema import DataSchema
from dermedge.models.classifier import FusedClassifier
from dermedge.models.fusion import fusion_class
from dermedge.progress import in_threads
from dermedge_runtime.errors import InputRejected, UsageError

from .processes import Processes
from .trained_part import WholeNetwork, build_model

_MASK_SIZE = 64
"""Height and width, in pixels: several for each cell of a feature map."""
_NO_HEAT = 1e-8
_OPTION = "--look-inside"


@dataclass(frozen=True)
class LookInside(WholeNetwork):
    """The whole network, its heat compared with lesion masks; a `TrainedPart`."""

    _last: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)
    """Of the batch that is trained on: its masks, and the feature map that is pooled."""

    def load(self, samples: Sequence[Sample], split_part: str) -> LesionData:
        """See `TrainedPart`; the training has masks beside its pictures.

        :raises InputRejected: also a mask that is absent, cannot be read, or shows no lesion.
        """
        loaded = super().load(samples, split_part)
        if split_part != "train":
            return loaded
        return replace(loaded, masks=_read_masks(self.config, samples, self.schema))

    def seen(self, batch: Batch) -> Tensor:
        """Give the pictures float32 [B, 3, H, W], prepared, then augmented; their masks are turned with them."""
        assert batch.image is not None and batch.mask is not None
        picture, settings = preparation_of(self.config)(batch.image), self.config.augmentation
        turns = drawn_turns(len(picture), settings, picture.device)
        self._last["mask"] = turned(batch.mask, turns)
        return changed(turned(picture, turns), settings)

    def watch(self, network: nn.Module) -> None:
        """Note the feature map that is pooled whenever a network is trained on a batch."""
        assert isinstance(network, FusedClassifier)
        makers = (network.attention, network.receptive_fields, network.trunk)
        last = next(maker for maker in makers if maker is not None)
        last.register_forward_hook(self._note)

    def _note(self, module: nn.Module, _: Any, made: Tensor) -> None:
        if module.training and torch.is_grad_enabled():
            self._last["map"] = made

    def loss(self, logits: Tensor, label: Tensor) -> Tensor:
        """Give the mean share of the heat that lies outside, a scalar.

        :param logits: of the batch that `seen` gave, float [B, classes].
        :param label: int64 [B].
        """
        features, mask = self._last.pop("map"), self._last.pop("mask")
        score = logits.float().gather(1, label[:, None]).sum()
        (slope,) = torch.autograd.grad(score, features, create_graph=True)
        return outside_share(features.float(), slope.float(), mask).mean()


def outside_share(features: Tensor, slope: Tensor, mask: Tensor) -> Tensor:
    """Give the share of Grad-CAM's heat in cells without lesion, float32 [B]; 0 where there is no heat.

    :param features: float32 [B, C, h, w].
    :param slope: gradient of a score with respect to it.
    :param mask: 1 on the lesion, 0 elsewhere, or between; float32 [B, 1, M, M].
    """
    heat = functional.relu((features * slope.sum(dim=(2, 3), keepdim=True)).sum(dim=1, keepdim=True))
    outside = 1 - functional.adaptive_max_pool2d(mask, heat.shape[2:])
    outer, whole = ((heat * outside).sum(dim=(1, 2, 3)), heat.sum(dim=(1, 2, 3)))
    return outer / (whole + _NO_HEAT)


def check_look_inside(config: TrainConfig, samples: Sequence[Sample], schema: DataSchema) -> None:
    """Look, before anything is written, whether heat can be compared with masks.

    :param samples: of the training.
    :raises UsageError: settings that contradict it, or a network without heat map.
    :raises InputRejected: masks are absent, cannot be read, or show no lesion.
    """
    if not fusion_class(config.fusion).uses_image:
        raise UsageError(f"{_OPTION} is about the heat map, and {config.fusion} has none. Leave it out.")
    others = {
        "--freeze-image-branch trains on features": config.freeze_image_branch,
        "--quantise-aware emulates rounding": config.quantise_aware,
        "--mixup mixes two lesions": config.mixup,
        "--cutmix pastes another lesion": config.cutmix,
        "--trivial-augment moves pictures by itself": config.augmentation.trivial_augment,
        "--precision fp16 has too small a range for its gradients": config.precision == "fp16",
    }
    for what, given in others.items():
        if given:
            raise UsageError(
                f"{_OPTION} compares one picture with its own mask, and {what}: leave one of them out ({_OPTION} 0,"
                " where it is an earlier run's)."
            )
    if not build_model(config, schema).has_heatmap:
        raise UsageError(f"{_OPTION} is about the heat map, and {config.image_branch} has none. Leave it out.")
    _read_masks(config, samples, schema)


def _read_masks(config: TrainConfig, samples: Sequence[Sample], schema: DataSchema) -> NDArray[np.bool_]:
    """Read the mask of every picture, bool [N, M, M].

    :raises InputRejected: masks are absent, cannot be read, or show no lesion, so that all heat would be outside.
    """
    files = mask_files(samples, Path(config.data), schema, _OPTION)
    masks = list(in_threads(partial(read_mask, size=_MASK_SIZE), files, "read lesion masks"))
    if empty := [file.name for file, mask in zip(files, masks, strict=True) if not mask.any()]:
        raise InputRejected(
            f"{len(empty)} of {len(files)} lesion masks show no lesion at {_MASK_SIZE} x {_MASK_SIZE} pixels, such as"
            f" {empty[0]}. Put the published masks there, or leave {_OPTION} out."
        )
    return np.stack(masks)


def check_one_network(processes: Processes, *, compiled: bool) -> None:
    """See that the feature map is in one place.

    :raises UsageError: several processes or torch.compile.
    """
    if processes.count > 1 or compiled:
        raise UsageError(f"{_OPTION} differentiates the network as it is: leave torchrun and --compile, or it.")
