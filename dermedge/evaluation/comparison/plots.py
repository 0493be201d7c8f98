"""Plots of a comparison: figures beside the paper's, differences with their intervals, the run that is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from dermedge.statistics.plots import confusion_plot, roc_plot, save_figure

from .results import read_predictions
from .rows import Record, model_name

_OURS, _PAPER = "#3b6ea8", "#c05020"


def draw_plots(record: Record, root: Path, folder: Path) -> dict[str, dict[str, Path]]:
    """Draw what can be drawn of every protocol.

    :param root: the comparison's folder.
    :param folder: where the PNG files go.
    :return: path by caption, by protocol.
    """
    drawn: dict[str, dict[str, Path]] = {}
    for protocol, best in record["best"].items():
        rows = [row for row in record["rows"] if row["protocol"] == protocol and row["seeds"]]
        plots = drawn[protocol] = {}
        if rows:
            path = plots["Accuracy and balanced accuracy"] = folder / f"{protocol}-figures.png"
            _figures_plot(rows, path)
        if any(row["difference"] for row in rows):
            path = plots["Difference to the images alone"] = folder / f"{protocol}-differences.png"
            _differences_plot([row for row in rows if row["difference"]], path)
        if best is not None:
            shown = read_predictions(root / best["folder"])
            title = f"{_label(best)}, {protocol}, seed {best['seed']}, test split"
            path = plots["Confusion matrix"] = folder / f"{protocol}-confusion.png"
            confusion_plot(best["scores"], title, path)
            path = plots["ROC curves"] = folder / f"{protocol}-roc.png"
            roc_plot(shown.labels, shown.probabilities, best["scores"], title, path)
    return drawn


def _label(row: Record) -> str:
    return f"{model_name(row['image_branch'], row['fusion'])} ({row['trunk']})"


def _figures_plot(rows: list[Record], path: Path) -> None:
    figure = Figure(figsize=(9.6, 1.8 + 0.32 * len(rows)), layout="constrained")
    accuracy, balanced = figure.subplots(1, 2, sharey=True)
    for axes, name in ((accuracy, "accuracy"), (balanced, "balanced_accuracy")):
        for place, row in enumerate(rows):
            found = row["figures"][name]
            axes.errorbar(found["mean"], place, xerr=found["std"], fmt="o", color=_OURS, capsize=3)
            axes.plot(found["values"], [place] * len(found["values"]), "|", color=_OURS, markersize=9)
        axes.set(xlabel=name.replace("_", " "), xlim=(-0.02, 1.02))
        axes.grid(axis="x", alpha=0.3)
    marks = [(row["paper"]["accuracy"], place) for place, row in enumerate(rows) if row["paper"]]
    accuracy.plot([x for x, _ in marks], [y for _, y in marks], "x", color=_PAPER, label="the paper's")
    accuracy.plot([], [], "o", color=_OURS, label="ours (mean, deviation, seeds)")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8)
    _name_rows(accuracy, rows)
    save_figure(figure, path)


def _differences_plot(rows: list[Record], path: Path) -> None:
    figure = Figure(figsize=(9.6, 1.4 + 0.32 * len(rows)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, name in zip(panels, ("accuracy", "balanced_accuracy"), strict=True):
        axes.axvline(0, color="grey", linewidth=1)
        for place, row in enumerate(rows):
            found = row["difference"][name]
            axes.plot([100 * found["low"], 100 * found["high"]], [place, place], color=_OURS)
            axes.plot(100 * found["value"], place, "o", color=_OURS)
        axes.set(xlabel=f"points of {name.replace('_', ' ')}, 95 % interval")
        axes.grid(axis="x", alpha=0.3)
    _name_rows(panels[0], rows)
    save_figure(figure, path)


def _name_rows(axes: Any, rows: list[Record]) -> None:
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
