"""Keep the decoded pictures on the GPU, where they fit beside the training: no copy per step, no wait for the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dermedge.data.batches.lesion_data import LesionData

_PICTURES_AT_ONCE = 256


def fits(data_bytes: int, free_bytes: int) -> bool:
    """Whether pictures may stay on a device: in less than half of its free memory; the rest is the training's."""
    return data_bytes < free_bytes / 2


def keep_on_device(
    parts: Sequence[LesionData], device: torch.device, free_bytes: Callable[[torch.device], int] | None = None
) -> list[LesionData]:
    """Move the pictures of all parts to a GPU if they fit there together; otherwise give the parts as they are.

    :param free_bytes: tells how much memory of a device is free; by default CUDA's answer, and on a CPU none, whose
        memory already is where the pictures lie.
    """
    if free_bytes is None:
        free_bytes = _free_cuda_bytes
    total = sum(part.pixels.nbytes for part in parts if part.pixels is not None)
    if not total or not fits(total, free_bytes(device)):
        return list(parts)
    return [part if part.pixels is None else replace(part, resident=_moved(part.pixels, device)) for part in parts]


def _free_cuda_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 0


def _moved(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    moved = torch.empty(pixels.shape, dtype=torch.uint8, device=device)
    # In pieces: the whole of a memory-mapped file would lie in the machine's memory at once.
    for start in range(0, len(pixels), _PICTURES_AT_ONCE):
        piece = np.array(pixels[start : start + _PICTURES_AT_ONCE])
        moved[start : start + len(piece)].copy_(torch.from_numpy(piece))
    return moved
