from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from dermedge.statistics import explain_plots, plots
from dermedge.statistics.metrics import score
from dermedge.statistics.plots import confusion_plot, history_plot, precision_recall_plot, roc_plot
from dermedge_runtime.errors import DermedgeError

CLASSES = ("akiec", "mel", "nv")


def results(seed: int = 0, classes: int = 3) -> tuple[np.ndarray, np.ndarray, dict]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, 60)
    probabilities = rng.dirichlet(np.ones(3), 60).astype(np.float32)
    return labels, probabilities, score(labels, probabilities, CLASSES)


def history(path: Path, *, validation: bool, falling: bool = True) -> Path:
    rows = ["epoch,train_loss,train_accuracy,validation_loss,validation_balanced_accuracy"]
    for epoch in range(1, 6):
        loss = 2 / epoch if falling else 2 * epoch
        rows.append(f"{epoch},{loss},{epoch / 10},{f'{loss + 0.2},{epoch / 12}' if validation else ','}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


CURVES = {"roc": roc_plot, "precision_recall": precision_recall_plot}


def draw(kind: str, folder: Path, variant: int) -> Path:
    """Draw one kind of plot of one of two different results."""
    path = folder / "plots" / f"{kind}-{variant}.png"
    if kind == "confusion":
        confusion_plot(results(variant)[2], "title", path)
    elif kind in CURVES:
        CURVES[kind](*results(variant), "title", path)
    else:
        history_plot(history(folder / "history.csv", validation=True, falling=not variant), "title", path)
    return path


@pytest.mark.parametrize("kind", ["confusion", *CURVES, "history"])
def test_a_plot_is_a_png_that_shows_its_data_and_nothing_else_is_left(tmp_path, kind):
    pictures = []
    for variant in (0, 1):
        path = draw(kind, tmp_path, variant)
        with Image.open(path) as image:
            assert image.format == "PNG"
            pictures.append(np.asarray(image.convert("RGB")).astype(int))
    assert min(pictures[0].shape[:2]) > 300
    assert len(np.unique(pictures[0].reshape(-1, 3), axis=0)) > 50, "blank"
    assert pictures[0].shape == pictures[1].shape and (pictures[0] != pictures[1]).any()
    assert sorted(file.name for file in (tmp_path / "plots").iterdir()) == [f"{kind}-0.png", f"{kind}-1.png"]


def colours(path: Path) -> set[tuple[int, ...]]:
    with Image.open(path) as image:
        return {tuple(colour) for colour in np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0).tolist()}


BLUE, ORANGE, GREEN = (31, 119, 180), (255, 127, 14), (44, 160, 44)  # matplotlib's first three lines


@pytest.mark.parametrize("validation", [True, False])
def test_a_history_without_validation_shows_the_training_alone(tmp_path, validation):
    path = tmp_path / "history.png"
    history_plot(history(tmp_path / "history.csv", validation=validation), "title", path)
    assert BLUE in colours(path)
    assert (ORANGE in colours(path)) is validation


@pytest.mark.parametrize(
    ("old", "new"),
    [("2,1.0", "two,1.0"), ("2,1.0", "2,high"), ("train_loss", "loss"), ("epoch,", "era,"), ("2,", "2,2,")],
)
def test_a_damaged_history_is_one_sentence(tmp_path, old, new):
    table = history(tmp_path / "history.csv", validation=True)
    table.write_text(table.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DermedgeError, match=r"history\.csv is damaged \(.*\)\. Train the run again\."):
        history_plot(table, "title", tmp_path / "history.png")
    assert not (tmp_path / "history.png").exists()


@pytest.mark.parametrize("kind", CURVES)
@pytest.mark.parametrize(("classes", "third"), [(3, True), (2, False)])
def test_a_class_without_photographs_has_no_curve(tmp_path, kind, classes, third):
    path = tmp_path / "curve.png"
    CURVES[kind](*results(classes=classes), "title", path)
    assert {BLUE, ORANGE} <= colours(path)
    assert (GREEN in colours(path)) is third


def test_a_confusion_matrix_with_an_empty_row_is_drawn(tmp_path):
    confusion_plot(results(classes=2)[2], "title", tmp_path / "confusion.png")
    assert len(colours(tmp_path / "confusion.png")) > 50


def drawn(monkeypatch: pytest.MonkeyPatch, module, draw) -> Figure:
    """The figure that a function draws, laid out as it is when it is saved."""
    figures = []
    monkeypatch.setattr(module, "save_figure", lambda figure, path: figures.append(figure))
    draw()
    (figure,) = figures
    FigureCanvasAgg(figure).draw()
    return figure


def long_history(path: Path, epochs: int) -> Path:
    rows = ["epoch,train_loss,train_accuracy,validation_loss,validation_balanced_accuracy"]
    rows += [f"{epoch},{2 / epoch},{1 - 0.6 / epoch},{2.2 / epoch},{1 - 0.7 / epoch}" for epoch in range(1, epochs + 1)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("epochs", [1, 2, 3, 8, 40, 300])
def test_epochs_are_whole_and_the_legend_is_beside_the_curves(tmp_path, monkeypatch, epochs):
    table = long_history(tmp_path / "history.csv", epochs)
    figure = drawn(monkeypatch, plots, lambda: history_plot(table, "title", tmp_path / "history.png"))
    width, height = figure.canvas.get_width_height()
    assert len(figure.axes) == 2
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks and all(tick == round(tick) and 1 <= tick <= epochs for tick in ticks)
        assert low < 1 and high > epochs and len(ticks) <= 10
        legend = axes.get_legend().get_window_extent()
        assert not legend.overlaps(axes.get_window_extent())
        assert legend.x0 >= 0 and legend.y0 >= 0 and legend.x1 <= width and legend.y1 <= height


@pytest.mark.parametrize("kind", CURVES)
@pytest.mark.parametrize("seed", range(3))
def test_no_curve_lies_under_the_legend(tmp_path, monkeypatch, kind, seed):
    figure = drawn(monkeypatch, plots, lambda: CURVES[kind](*results(seed), "title", tmp_path / "curve.png"))
    (axes,), (legend,) = figure.axes, figure.legends
    assert len(legend.get_texts()) == 3
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())


class Explained:
    """What the gallery reads of a prediction."""

    label, probabilities = "mel", {"mel": 0.75}

    def __init__(self, width: int, height: int) -> None:
        self.picture = Image.new("RGB", (width, height), (200, 150, 130))

    def overlay(self, largest: int) -> Image.Image:
        picture = self.picture.copy()
        picture.thumbnail((largest, largest))
        return Image.new("RGB", (picture.width + 40, picture.height))


def test_titles_of_a_gallery_line_up_and_both_pictures_are_of_one_size(tmp_path, monkeypatch):
    sizes = [(300, 225), (200, 300), (900, 600), (100, 400)]
    groups = {"mel": [Explained(*size) for size in sizes], "nv": [Explained(*size) for size in sizes[1:3]]}
    names = {"mel": "melanoma", "nv": "a name that is far too long to stand above one photograph of a gallery"}
    figure = drawn(monkeypatch, explain_plots, lambda: explain_plots.gallery(groups, names, tmp_path / "gallery.png"))
    rows = {code: [axes for axes in figure.axes if axes.get_subplotspec().rowspan.start == row and axes.images]
            for row, code in enumerate(groups)}  # fmt: skip
    for code, row in rows.items():
        assert len(row) == 2 * len(groups[code])
        titles = [axes.title if axes.title.get_text() else axes._left_title for axes in row]
        assert len({round(title.get_window_extent().y0) for title in titles}) == 1
        for one, other, size in zip(row[::2], row[1::2], [p.picture.size for p in groups[code]], strict=True):
            scales = [axes.get_window_extent().height / axes.images[0].get_array().shape[0] for axes in (one, other)]
            assert scales[0] == pytest.approx(scales[1])
            shown = one.images[0].get_array().shape
            assert shown[1] / shown[0] == pytest.approx(size[0] / size[1], rel=0.02)
        for left, right in pairwise(row):
            box = left._left_title.get_window_extent()
            assert box.x1 < right._left_title.get_window_extent().x0


def test_a_precision_recall_curve_has_the_area_that_its_legend_says(tmp_path, monkeypatch):
    labels, probabilities, scores = results(4)
    draw = lambda: precision_recall_plot(labels, probabilities, scores, "title", tmp_path / "curve.png")  # noqa: E731
    (axes,) = drawn(monkeypatch, plots, draw).axes
    for code, line in zip(CLASSES, axes.lines, strict=True):
        recall, precision = line.get_xdata(), line.get_ydata()
        area = float(np.sum((recall[:-1] - recall[1:]) * precision[:-1]))
        assert area == pytest.approx(scores["per_class"][code]["average_precision"])
        assert line.get_label() == f"{code} (average precision {area:.3f})"


def test_a_reliability_diagram_shows_claims_and_what_came_true(tmp_path, monkeypatch):
    labels, sure = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1]] * 4, dtype=np.float32)
    modest = np.array([[0.55, 0.45]] * 4, dtype=np.float32)
    answers = {"before": sure, "after": modest}
    draw = lambda: plots.reliability_plot(labels, answers, "title", tmp_path / "reliability.png")  # noqa: E731
    figure = drawn(monkeypatch, plots, draw)
    before, after = figure.axes[0].lines[1:]
    assert (before.get_xdata()[0], before.get_ydata()[0]) == (pytest.approx(0.9), 0.5)
    assert (after.get_xdata()[0], after.get_ydata()[0]) == (pytest.approx(0.55), 0.5)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["before (error 0.400)", "after (error 0.050)"]
