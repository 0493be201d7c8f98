"""Plots of a comparison of recipes: accuracy against size and latency, with the front of what nothing else beats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from dermedge.statistics.plots import save_figure

from .rows import Record

_OURS, _RECIPE, _FRONT = "#3b6ea8", "#c05020", "#777777"
_Point = tuple[float, float]
_ASIDE, _NEAR, _LINE = 0.03, 0.3, 0.035
"""Shares of a panel: how far a name is beside its point, how near points must be for their names to meet, and the
height of a name."""


def draw_recipe_plots(record: Record, folder: Path) -> dict[str, Path]:
    """Draw balanced accuracy against the cost of the INT8 file, for every protocol that has some.

    :param folder: where the PNG files go.
    :return: path by caption.
    """
    drawn = {}
    for protocol in dict.fromkeys(row["protocol"] for row in record["rows"] if row["seeds"]):
        rows = [row for row in record["rows"] if row["protocol"] == protocol and row["figures"]["balanced_accuracy"]]
        sized = [row for row in rows if row["int8"] and "bytes" in row["int8"]]
        if sized:
            path = drawn[f"Balanced accuracy against size and latency, {protocol}"] = folder / f"{protocol}-recipes.png"
            _draw(sized, path)
    return drawn


def pareto_front(points: list[_Point]) -> list[_Point]:
    """Give the points that none beats, by rising cost: no other is at most as dear and at least as good.

    :param points: cost, and what should be high.
    """
    front: list[_Point] = []
    for cost, value in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or value > front[-1][1]:
            front.append((cost, value))
    return front


def _draw(rows: list[Record], path: Path) -> None:
    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    by_size, by_latency = figure.subplots(1, 2, sharey=True)
    _panel(by_size, [(row, row["int8"]["bytes"] / 1e6) for row in rows], "INT8 file, MB")
    timed = [(row, row["latency"]["median_ms"]) for row in rows if row["latency"]]
    _panel(by_latency, timed, "network with explanations, ms")
    by_size.set_ylabel("balanced accuracy, 95 % by lesion")
    save_figure(figure, path)


def _panel(axes: Any, found: list[tuple[Record, float]], label: str) -> None:
    points = []
    for row, cost in found:
        value = row["figures"]["balanced_accuracy"]
        colour = _RECIPE if row["recipe"] else _OURS
        spread = [[value["mean"] - value["low"]], [value["high"] - value["mean"]]]
        axes.errorbar(cost, value["mean"], yerr=spread, fmt="o", color=colour, alpha=0.8, capsize=2)
        points.append((cost, value["mean"]))
    front = pareto_front(points)
    axes.step([x for x, _ in front], [y for _, y in front], where="post", color=_FRONT, linestyle="--", linewidth=1)
    axes.set_xlabel(label)
    axes.margins(x=0.18)
    axes.grid(alpha=0.3)
    _name_points(axes, [row["recipe"] or row["fusion"] for row, _ in found], points)


def _name_points(axes: Any, names: list[str], points: list[_Point]) -> None:
    """Write a name beside every point, with a line to it; one below the other where points lie close together."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    placed: list[_Point] = []
    # From below, so that the best, of which there are many, have room above them.
    for name, (x, y) in sorted(zip(names, points, strict=True), key=lambda each: each[1][1]):
        at = x + _ASIDE * (right - left), y
        near = [other for other, own in placed if abs(own - x) < _NEAR * (right - left)]
        height = max([at[1], *(other + _LINE * (top - bottom) for other in near)])
        axes.annotate(
            name, (x, y), xytext=(at[0], height), fontsize=7, va="center",
            arrowprops={"arrowstyle": "-", "color": _FRONT, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 4},
        )  # fmt: skip
        placed.append((height, x))
    axes.set_ylim(bottom, max([top, *(height + _LINE * (top - bottom) for height, _ in placed)]))
