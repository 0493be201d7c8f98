"""Do heat maps mean something? Measured against lesion masks and against the model itself.

- Energy: share of the heat inside the lesion; by chance it is the share of the picture that the lesion covers.
- Pointing game: does the hottest pixel lie on the lesion?
- Deletion and insertion: area under the class's probability while the hottest pixels are blurred away first, or brought
  back first. A good map deletes low and inserts high; a random map of the same coarseness is the yardstick.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from dermedge_runtime.explanation import enlarge

_STEPS = 10
_Floats = NDArray[np.float32]
_Pixels = NDArray[np.uint8]

FIGURES = (
    "lesion_area", "energy", "pointing", "deletion", "deletion_random", "insertion", "insertion_random",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """Figures of one heat map."""

    label: int
    """The diagnosis, an index into the classes."""
    correct: bool
    figures: Mapping[str, float]
    """By name of `FIGURES`."""


def judge(
    pixels: _Pixels,
    grid: _Floats,
    mask: NDArray[np.bool_],
    probability: Callable[[_Pixels], _Floats],
    rng: np.random.Generator,
) -> dict[str, float]:
    """Compute the figures of one heat map.

    :param pixels: the picture as the model sees it, uint8 [H, W, 3].
    :param grid: heat map, float32 [h, w] in [0, 1].
    :param mask: lesion, bool [H, W].
    :param probability: maps uint8 [B, H, W, 3] to the explained class's probability, float32 [B].
    """
    heat = enlarge(grid, pixels.shape[1], pixels.shape[0])
    random = enlarge(rng.random(grid.shape, dtype=np.float32), pixels.shape[1], pixels.shape[0])
    return {
        "lesion_area": float(mask.mean()),
        "energy": float(heat[mask].sum() / heat.sum()) if heat.any() else 0.0,
        "pointing": float(mask.flat[heat.argmax()]) if heat.any() else 0.0,
        **curves(pixels, heat, probability),
        **{f"{name}_random": area for name, area in curves(pixels, random, probability).items()},
    }


def curves(pixels: _Pixels, heat: _Floats, probability: Callable[[_Pixels], _Floats]) -> dict[str, float]:
    """Areas under the deletion and the insertion curve, each in [0, 1]."""
    blurred = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(pixels.shape[0] / 12)))
    rank = np.empty(heat.size, dtype=np.int64)
    rank[np.argsort(-heat, axis=None, kind="stable")] = np.arange(heat.size)
    hot = rank.reshape(heat.shape)[None] < np.linspace(0, heat.size, _STEPS + 1)[:, None, None]  # [steps + 1, H, W]
    deleted = np.where(hot[..., None], blurred, pixels)
    inserted = np.where(hot[..., None], pixels, blurred)
    scores = probability(np.concatenate([deleted, inserted]))
    down, up = scores[: _STEPS + 1], scores[_STEPS + 1 :]
    return {"deletion": float(np.trapezoid(down) / _STEPS), "insertion": float(np.trapezoid(up) / _STEPS)}


def summarise(judged: Sequence[Judged], classes: Sequence[str]) -> list[dict[str, str | int | float]]:
    """Average per class and over all, right and wrong predictions apart; groups without a picture are left out."""
    rows: list[dict[str, str | int | float]] = []
    for code, index in [*((code, i) for i, code in enumerate(classes)), ("all", None)]:
        for correct in (True, False):
            group = [j for j in judged if j.correct == correct and index in (None, j.label)]
            if group:
                means = {name: fmean(j.figures[name] for j in group) for name in FIGURES}
                rows.append(
                    {"class": code, "prediction": "right" if correct else "wrong", "images": len(group), **means}
                )
    return rows
