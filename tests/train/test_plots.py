from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermedge.statistics.metrics import score
from dermedge.statistics.plots import confusion_plot, history_plot, roc_plot

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


def draw(kind: str, folder: Path, variant: int) -> Path:
    """Draw one kind of plot of one of two different results."""
    path = folder / "plots" / f"{kind}-{variant}.png"
    if kind == "confusion":
        confusion_plot(results(variant)[2], "title", path)
    elif kind == "roc":
        roc_plot(*results(variant), "title", path)
    else:
        history_plot(history(folder / "history.csv", validation=True, falling=not variant), "title", path)
    return path


@pytest.mark.parametrize("kind", ["confusion", "roc", "history"])
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


@pytest.mark.parametrize(("classes", "third"), [(3, True), (2, False)])
def test_a_class_without_photographs_has_no_roc_curve(tmp_path, classes, third):
    path = tmp_path / "roc.png"
    roc_plot(*results(classes=classes), "title", path)
    assert {BLUE, ORANGE} <= colours(path)
    assert (GREEN in colours(path)) is third


def test_a_confusion_matrix_with_an_empty_row_is_drawn(tmp_path):
    confusion_plot(results(classes=2)[2], "title", tmp_path / "confusion.png")
    assert len(colours(tmp_path / "confusion.png")) > 50
