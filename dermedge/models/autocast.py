"""The arithmetic of a forward pass in training: float32, or a narrower one that torch uses where it does no harm."""

from __future__ import annotations

import torch

_NARROW = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Make the context of a forward pass.

    :param precision: fp32, bf16 or fp16.
    """
    return torch.autocast(device.type, dtype=_NARROW.get(precision, torch.bfloat16), enabled=precision in _NARROW)
