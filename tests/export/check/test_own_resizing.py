"""The export compares the graph's own resizing with the runtime's by the answers, and refuses a file that differs."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from any_size_models import write_box_of_any_size
from PIL import Image

from dermedge.data.ham10000 import read_samples
from dermedge_export import pipeline
from dermedge_export.check.own_resizing import OwnResizing, compare_own_resizing
from dermedge_export.check.parity import DEFAULT_LIMITS, Limits, ParityError, parity_of
from dermedge_export.pipeline import ExportedModel, export_model
from dermedge_runtime import Classifier, UsageError, model_in_the_box
from dermedge_runtime.inputs.image import upright_rgb
from dermedge_runtime.model.model_file import read_model_file

pytestmark = pytest.mark.usefixtures("traced_once")

LOOSE = Limits(agreement=0, balanced_accuracy_drop=1)


@pytest.fixture(scope="module")
def any_size_report(
    traced_once, trained_run, synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> ExportedModel:
    target = tmp_path_factory.mktemp("any") / "any-int8.onnx"
    return export_model(trained_run, read_samples(synthetic_data), "int8", target, limits=LOOSE, any_size=True)


def test_the_file_takes_any_size_and_tells_what_was_compared(any_size_report: ExportedModel, trained_run) -> None:
    spec = Classifier(any_size_report.path, "cpu").spec
    assert spec.image is not None and spec.image.any_size
    own = any_size_report.parity.own_resizing
    assert own is not None and own.images == len(trained_run.split.ids("validation"))
    assert spec.parity["own_resizing"] == asdict(own) == any_size_report.to_record()["parity"]["own_resizing"]
    assert own.summary() in any_size_report.parity.summary()


def test_it_answers_as_the_file_of_one_size(
    any_size_report: ExportedModel, exported: dict, synthetic_data: Path
) -> None:
    paths = [sample.path for sample in read_samples(synthetic_data)[:6]]
    free, fixed = (Classifier(report.path, "cpu") for report in (any_size_report, exported["int8"]))
    for one, other in zip(free.predict_many(paths), fixed.predict_many(paths), strict=True):
        assert one.probabilities == other.probabilities


def test_a_file_of_one_size_has_nothing_to_compare(exported: dict) -> None:
    assert exported["fp32"].parity.own_resizing is None
    assert Classifier(exported["fp32"].path, "cpu").spec.parity["own_resizing"] is None


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model in the box, whose answers depend on the picture, with the resizing in its graph."""
    return write_box_of_any_size(tmp_path_factory.mktemp("box"))


def compared(box: Path, synthetic_data: Path) -> OwnResizing:
    return compare_own_resizing(Classifier(box, "cpu"), box, read_samples(synthetic_data), seed=0)


def test_right_resizing_changes_no_answer(box: Path, synthetic_data: Path) -> None:
    found = compared(box, synthetic_data)
    assert (found.images, found.agreement) == (len(read_samples(synthetic_data)), 1.0)
    assert found.largest_probability_change < 0.01


def nearest(path: Path) -> Image.Image:
    size = read_model_file(model_in_the_box()).spec.image.size
    return upright_rgb(path).resize((size, size), Image.Resampling.NEAREST)


def blue_first(path: Path) -> np.ndarray:
    return np.asarray(upright_rgb(path))[..., ::-1]


def a_part(path: Path) -> np.ndarray:
    return np.asarray(upright_rgb(path))[:200, :200]


@pytest.mark.parametrize("wrong", [nearest, blue_first, a_part])
def test_wrong_pixels_change_answers(
    wrong: Callable[[Path], object], box: Path, synthetic_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dermedge_export.check.own_resizing.upright_rgb", wrong)
    found = compared(box, synthetic_data)
    assert found.largest_probability_change > 0.05


def test_over_the_limit_nothing_is_written(trained_run, synthetic_data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "compare_own_resizing", lambda *given: OwnResizing(7, 0.5, 0.9))
    limits, target = replace(LOOSE, agreement=0.6, heatmap_correlation=-1), tmp_path / "m.onnx"
    with pytest.raises(ParityError, match=r"resizing in the graph: 50.00% of 7 images .*, the limit is 60.00%"):
        export_model(
            trained_run, read_samples(synthetic_data), "fp32", target, explain=False, limits=limits, any_size=True
        )
    assert list(tmp_path.iterdir()) == []


def test_the_gate_counts_the_classes() -> None:
    rows = np.full((4, 2), 0.5, np.float32)
    labels = np.array([0, 1, 0, 1])
    parity = parity_of(rows, rows, labels, ("a", "b"), melanoma=None, split="test", provider="CPUExecutionProvider")
    assert replace(parity, own_resizing=OwnResizing(200, 0.999, 0.2)).violations(DEFAULT_LIMITS["fp32"]) == []
    (broken,) = replace(parity, own_resizing=OwnResizing(200, 0.99, 0.2)).violations(DEFAULT_LIMITS["fp32"])
    assert broken == (
        "resizing in the graph: 99.00% of 200 images get the same class, largest probability change 0.2, the limit is"
        " 99.90%"
    )


def test_what_cannot_be_exported_so_is_refused_before_anything_is_made(
    trained_run, synthetic_data: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="--any-size and --target rtx exclude each other"):
        export_model(
            trained_run, read_samples(synthetic_data), "int8", tmp_path / "m.onnx", flavour="rtx", any_size=True
        )
    assert list(tmp_path.iterdir()) == []
