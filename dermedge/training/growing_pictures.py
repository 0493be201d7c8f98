"""Progressive sizes: the first epochs of a training see smaller pictures, which cost less (Howard 2018, fast.ai's entry
to DAWNBench; Tan and Le, EfficientNetV2, ICML 2021).

The size grows linearly from `--start-size` to `--image-size` over the first two thirds of the epochs, in steps of the
image branch's stride. Smaller pictures are made of the batch, bilinear with antialiasing, before anything else: decoded
pictures are kept in one size. Validation is always at the full size, which the network is made for.
"""

from __future__ import annotations

from dataclasses import replace

from torch.nn import functional

from dermedge.config import TrainConfig
from dermedge.data.batches.lesion_data import Batch
from dermedge.models.branches.picture_size import check_picture_size
from dermedge.models.classifier import FusedClassifier, PatientClassifier
from dermedge.models.fusion import fusion_class
from dermedge_runtime.errors import UsageError


def size_in(epoch: int, config: TrainConfig, stride: int) -> int:
    """Height and width of the training's pictures in an epoch, counted from 0.

    :param stride: of the image branch; sizes between first and last are multiples of it.
    """
    growing = 2 * config.epochs // 3
    if not config.start_size or epoch >= growing:
        return config.image_size
    grown = (config.image_size - config.start_size) * epoch // growing
    return max(config.start_size, (config.start_size + grown) // stride * stride)


def stride_of(network: PatientClassifier) -> int:
    """Stride of a network's image branch; 1 where it has none."""
    trunk = network.trunk if isinstance(network, FusedClassifier) else None
    return 1 if trunk is None else trunk.stride


def shrunk(batch: Batch, size: int) -> Batch:
    """Give a batch with its pictures in another size; the very same where they have it or there are none."""
    if batch.image is None or batch.image.shape[-1] == size:
        return batch
    image = functional.interpolate(batch.image, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return replace(batch, image=image)


def check_start_size(config: TrainConfig) -> None:
    """Let a start size pass that makes sense.

    :raises UsageError: it does not.
    """
    if not config.start_size:
        return
    if not fusion_class(config.fusion).uses_image:
        raise UsageError(f"--start-size is about pictures, and {config.fusion} reads none. Leave it out.")
    if config.freeze_image_branch:
        raise UsageError("--start-size shows pictures, and --freeze-image-branch trains on features: leave one out.")
    if config.start_size >= config.image_size:
        raise UsageError(
            f"--start-size {config.start_size} must be smaller than --image-size, which is {config.image_size}."
        )
    if config.epochs < 2:
        raise UsageError("--start-size needs --epochs 2 or more: the last third is trained at the full size.")
    check_picture_size(config.image_branch, config.start_size, option="--start-size")
