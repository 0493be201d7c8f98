"""PNG plots of an evaluation and of a training history (matplotlib, without a display)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from dermedge_runtime.errors import DermedgeError
from dermedge_runtime.files import atomic_path

from .calibration import top_reliability

_DPI = 120
_CURVES = {
    "train_loss": "training (balanced, augmented)",
    "validation_loss": "validation",
    "train_accuracy": "training accuracy (balanced)",
    "validation_balanced_accuracy": "validation balanced accuracy",
}
"""Columns of a history, and what they are called in its plot."""


def confusion_plot(scores: dict[str, Any], title: str, path: Path) -> None:
    """Plot a confusion matrix: colour is the share of the true class, numbers are photographs."""
    matrix = np.array(scores["confusion_matrix"])
    classes: Sequence[str] = scores["classes"]
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(classes)):
        for column in range(len(classes)):
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=9)
    axes.set(xticks=range(len(classes)), yticks=range(len(classes)), xticklabels=classes, yticklabels=classes)
    axes.set(xlabel="predicted", ylabel="diagnosis", title=title)
    figure.colorbar(image, ax=axes, label="share of the diagnosis")
    save_figure(figure, path)


def roc_plot(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], scores: dict[str, Any], title: str, path: Path
) -> None:
    """Plot the one-against-the-rest ROC curve of every class that has both kinds of photographs."""
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    for index, code in enumerate(scores["classes"]):
        area = scores["per_class"][code]["auc"]
        if area is not None:
            false_rate, true_rate, _ = roc_curve(labels == index, probabilities[:, index])
            axes.plot(false_rate, true_rate, label=f"{code} (AUC {area:.3f})")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title=title, xlim=(0, 1), ylim=(0, 1.01))
    figure.legend(loc="outside lower center", ncols=3, fontsize=9)  # within the axes it may lie over a curve
    save_figure(figure, path)


def precision_recall_plot(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], scores: dict[str, Any], title: str, path: Path
) -> None:
    """Plot the one-against-the-rest precision-recall curve of every class that has both kinds of photographs.

    Unlike the ROC curve it shows how many of those named have the class: beside few melanomas, few false alarms weigh
    much.
    """
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.add_subplot()
    for index, code in enumerate(scores["classes"]):
        area = scores["per_class"][code]["average_precision"]
        if area is not None:
            precision, recall, _ = precision_recall_curve(labels == index, probabilities[:, index])
            # Steps, as the average precision adds them up; a straight line between two points would promise too much.
            axes.step(recall, precision, where="post", label=f"{code} (average precision {area:.3f})")
    axes.set(xlabel="recall (sensitivity)", ylabel="precision", title=title, xlim=(0, 1), ylim=(0, 1.01))
    figure.legend(loc="outside lower center", ncols=2, fontsize=9)  # within the axes it may lie over a curve
    save_figure(figure, path)


def reliability_plot(
    labels: NDArray[np.int64], answers: Mapping[str, NDArray[np.float32]], title: str, path: Path
) -> None:
    """Plot how often the highest probability is right, by what it claims, for each of several answers.

    A point is a bin of 15; its area grows with the photographs in it. On the diagonal a claim is kept.

    :param answers: probabilities float32 [N, classes] by name, such as those before and after a calibration.
    """
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    for name, probabilities in answers.items():
        found = top_reliability(labels, probabilities)
        filled = found.counts > 0
        claimed, true, counts = found.claimed[filled], found.true[filled], found.counts[filled]
        (line,) = axes.plot(claimed, true, linewidth=1, label=f"{name} (error {found.error:.3f})")
        axes.scatter(claimed, true, s=300 * counts / counts.sum() + 4, color=line.get_color(), alpha=0.7)
    axes.set(xlabel="highest probability", ylabel="share that is right", title=title, xlim=(0, 1), ylim=(0, 1.01))
    figure.legend(loc="outside lower center", ncols=1, fontsize=9)
    save_figure(figure, path)


def history_plot(history_csv: Path, title: str, path: Path) -> None:
    """Plot loss and balanced accuracy over the epochs.

    :raises DermedgeError: the history is damaged.
    """
    try:
        history = pd.read_csv(history_csv, index_col="epoch").astype(dict.fromkeys(_CURVES, float))
        epochs = [int(epoch) for epoch in history.index]
    except (ValueError, KeyError, TypeError) as error:
        raise DermedgeError(f"{history_csv} is damaged ({error}). Train the run again.") from error
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for column, label in _CURVES.items():
        if history[column].notna().any():
            (loss if column.endswith("loss") else accuracy).plot(epochs, history[column], marker=".", label=label)
    loss.set(xlabel="epoch", ylabel="cross-entropy")
    accuracy.set(xlabel="epoch", ylabel="share", ylim=(0, 1.02))
    for axes in (loss, accuracy):
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
        axes.set_xlim(min(epochs, default=1) - 0.9, max(epochs, default=1) + max(0.9, 0.01 * len(epochs)))
        # Below the axes, where no curve is.
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, fontsize=8, frameon=False)
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    save_figure(figure, path)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG atomically."""
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_figure(temporary, dpi=_DPI, format="png")
