"""Pictures of explanations: a gallery of heat maps per class (paper, figure 10) and bars of clinical relevance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from dermedge_runtime.inputs.image import upright_rgb
from dermedge_runtime.prediction import Prediction

from .plots import save_figure

_THUMBNAIL = 320
_FEATURES = 8


def gallery(groups: Mapping[str, Sequence[Prediction]], names: Mapping[str, str], path: Path) -> None:
    """Plot one row per diagnosis: each photograph beside its overlay, with what the model said."""
    columns = max(len(group) for group in groups.values())
    figure = Figure(figsize=(4.6 * columns, 1.9 * len(groups)), layout="constrained")
    axes = figure.subplots(len(groups), 2 * columns, squeeze=False)
    for row, (code, group) in enumerate(groups.items()):
        for cell in axes[row]:
            cell.set_axis_off()
        for column, result in enumerate(group):
            assert result.picture is not None
            pair = axes[row, 2 * column], axes[row, 2 * column + 1]
            _show_pair(pair, upright_rgb(result.picture, _THUMBNAIL), result.overlay(_THUMBNAIL))
            right = "" if result.label == code else " (wrong)"
            pair[0].set_title(shorten(names.get(code, code), 42, placeholder=" ..."), fontsize=7, loc="left")
            pair[1].set_title(f"{result.label} {result.probabilities[result.label]:.0%}{right}", fontsize=7, loc="left")
    save_figure(figure, path)


def _show_pair(cells: tuple[Any, Any], picture: Image.Image, overlaid: Image.Image) -> None:
    """Show both at one scale and at the top of their cells, so that titles line up; the overlay is wider by its bar."""
    shown = picture.copy()
    shown.thumbnail((_THUMBNAIL, _THUMBNAIL))
    width = round(overlaid.width * shown.height / overlaid.height)
    for image, cell in zip((shown, overlaid.resize((width, shown.height))), cells, strict=True):
        cell.imshow(np.asarray(image))
        cell.set(xlim=(-0.5, max(width, shown.width) - 0.5), anchor="NW")


def relevance_bars(table: Mapping[str, Mapping[str, float]], names: Mapping[str, str], path: Path) -> None:
    """Plot the most relevant clinical features of each diagnosis as horizontal bars."""
    figure = Figure(figsize=(3.4 * min(4, len(table)), 2.6 * -(-len(table) // 4)), layout="constrained")
    axes = list(figure.subplots(-(-len(table) // 4), min(4, len(table)), squeeze=False).flat)
    for cell, (code, values) in zip(axes, table.items(), strict=False):
        top = sorted(values.items(), key=lambda item: item[1])[-_FEATURES:]
        cell.barh([name for name, _ in top], [value for _, value in top], color="#3b6ea8")
        cell.set(xlim=(0, 1), title=names.get(code, code))
        cell.title.set_fontsize(8)
        cell.tick_params(labelsize=7)
    for cell in axes[len(table) :]:
        cell.set_axis_off()
    figure.supxlabel("mean relevance (integrated gradients, absolute, scaled to [0, 1])", fontsize=8)
    save_figure(figure, path)
