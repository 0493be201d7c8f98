"""The plots of answers: confusion matrix, ROC and precision-recall curves of one contender, reliability of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge.statistics.plots import confusion_plot, precision_recall_plot, reliability_plot, roc_plot
from dermedge.training.answers import Answers


def write_plots(folder: Path, labels: NDArray[np.int64], answers: Answers, scores: dict[str, Any], title: str) -> None:
    """Write `confusion_matrix.png`, `roc.png` and `precision_recall.png`, each whole or not at all.

    :param scores: of the answers.
    :raises OSError: one cannot be written.
    """
    confusion_plot(scores, title, folder / "confusion_matrix.png")
    roc_plot(labels, answers.probabilities, scores, title, folder / "roc.png")
    precision_recall_plot(labels, answers.probabilities, scores, title, folder / "precision_recall.png")


def write_reliability(folder: Path, labels: NDArray[np.int64], answers: Mapping[str, Answers], title: str) -> None:
    """Write `reliability.png`: the trained weights as they are, and files as they were calibrated.

    :raises OSError: it cannot be written.
    """
    probabilities = {name: each.probabilities for name, each in answers.items()}
    reliability_plot(labels, probabilities, title, folder / "reliability.png")
