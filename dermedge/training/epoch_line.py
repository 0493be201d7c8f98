"""An epoch of a training as a line of the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def epoch_line(row: Mapping[str, Any], epochs: int) -> str:
    """Give one history row as a line of text, such as "epoch 3/9, loss 1.235, 12 s, 100 images/s, best so far"."""
    parts = [f"epoch {row['epoch']}/{epochs}", f"loss {row['train_loss']:.3f}"]
    if row["validation_balanced_accuracy"] is not None:
        parts.append(f"validation accuracy {row['validation_accuracy']:.3f}")
        parts.append(f"balanced {row['validation_balanced_accuracy']:.3f}")
    parts.append(
        f"{row['seconds']:.0f} s, {row['images_per_second']:.0f} images/s{', best so far' if row['best'] else ''}"
    )
    return ", ".join(parts)
