"""Figures where clinical values are unknown, of a stand-in for a model whose answers are known."""

import json
import shutil

import numpy as np
import pytest

from dermedge.data.samples import Sample
from dermedge.evaluation.evaluate import evaluate_run
from dermedge.evaluation.unknown_values import unknown_values
from dermedge.models.modalities import Modalities
from dermedge.tables import unknown_values_text
from dermedge.training.run import Run
from dermedge_runtime.errors import UsageError

CLASSES = ("nv", "mel", "bcc")


def sample(number: int, label: int, **clinical: str) -> Sample:
    return Sample(f"i{number}", f"l{number // 2}", None, label, clinical)


SAMPLES = [sample(i, i % 3, sex="male", site="back") for i in range(30)] + [sample(31, 0, sex="female")]


def answer(samples: list[Sample]) -> np.ndarray:
    """Right with all values; without the site every lesion is a nevus, without the sex all is as it was."""
    right = np.array([s.label if "site" in s.clinical or s.label == 0 else 0 for s in samples])
    return np.eye(3, dtype=np.float32)[right] * 0.8 + 0.1


def test_what_is_hidden_counts_and_nothing_else() -> None:
    found = unknown_values(answer, SAMPLES, answer(SAMPLES), ("sex", "site"), CLASSES, "mel")
    assert {case: figures["hidden"] for case, figures in found.items()} == {
        "all that is known": [], "no value": ["sex", "site"], "no sex": ["sex"], "no site": ["site"],
    }  # fmt: skip
    assert found["no sex"]["balanced_accuracy_change"] == {"value": 0, "low": 0, "high": 0}
    assert "balanced_accuracy_change" not in found["all that is known"]
    for case in ("no value", "no site"):
        assert found[case]["accuracy"]["value"] == pytest.approx(11 / 31)
        change = found[case]["balanced_accuracy_change"]
        assert change["value"] == pytest.approx(-2 / 3) and change["low"] <= change["value"] <= change["high"]
        assert found[case]["melanoma_recall_at_90_specificity"]["value"] == 0, "all have one score"
    assert found["no sex"]["melanoma_recall_at_90_specificity"]["value"] == 1
    assert "no site" in unknown_values_text(found) and "-0.667 [" in unknown_values_text(found)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_one_field_is_hidden_once_and_none_never() -> None:
    nevi = [sample(i, 0) for i in range(4)]
    found = unknown_values(answer, nevi, answer(nevi), ("site",), CLASSES, "mel")
    assert list(found) == ["all that is known", "no value"]
    assert found["no value"]["melanoma_recall_at_90_specificity"] is None, "there is no melanoma"
    assert unknown_values(answer, nevi, answer(nevi), (), CLASSES, "mel") == {}
    assert "recall" not in unknown_values_text(unknown_values(answer, nevi, answer(nevi), ("site",), CLASSES, None))


@pytest.mark.usefixtures("traced_once")
def test_an_evaluation_has_them_for_every_contender(trained_run, tmp_path) -> None:
    run = Run.open(shutil.copytree(trained_run.path, tmp_path / "run"))
    found = evaluate_run(run, tmp_path, "validation", "cpu", without_values=True)
    trained, shipped = found.results.values()
    assert list(trained["unknown_values"]) == ["all that is known", "no value", "no age", "no sex", "no site"]
    for case, figures in trained["unknown_values"].items():
        assert shipped["unknown_values"][case]["accuracy"]["value"] == pytest.approx(figures["accuracy"]["value"])
    assert trained["unknown_values"]["all that is known"]["accuracy"]["value"] == trained["accuracy"]


def test_a_run_that_reads_no_value_has_none_to_hide(trained_run, tmp_path, monkeypatch) -> None:
    image_only = Modalities(image=True, clinical=False)
    monkeypatch.setattr("dermedge.evaluation.evaluate.modalities", lambda name: image_only)
    with pytest.raises(UsageError, match="no clinical value that could be hidden: leave --without-values out"):
        evaluate_run(trained_run, tmp_path, "validation", "cpu", without_values=True)
