"""The card of a model file: measured figures, groups, limits, and refusals."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from dermedge.data.ham10000 import read_samples
from dermedge.evaluation.card import _branch, model_card
from dermedge.statistics.metrics import score
from dermedge.statistics.operating_point import recall_at_specificity
from dermedge.training.predictions import labels_of, runtime_probabilities
from dermedge_runtime import Classifier
from dermedge_runtime.errors import DermedgeError, InputRejected


@pytest.fixture(scope="module")
def card(trained_run, exported) -> str:
    return model_card(trained_run, exported["int8"].path, notes=["Drawn, not photographed."])


def test_its_figures_are_those_of_the_file_in_the_runtime(
    card: str, trained_run, exported, synthetic_data: Path
) -> None:
    samples = trained_run.split.select(read_samples(synthetic_data), "test")
    probabilities = runtime_probabilities(Classifier(exported["int8"].path, "cpu"), samples)
    expected = score(labels_of(samples), probabilities, trained_run.schema.classes)
    assert f"Accuracy {expected['accuracy']:.3f} [" in card
    assert f"balanced accuracy {expected['balanced_accuracy']:.3f} [" in card
    row = next(line for line in card.splitlines() if line.startswith("| mel |"))
    assert row.split("|")[3].strip().startswith(f"{expected['per_class']['mel']['recall']:.3f} [")


def test_it_says_what_a_reader_must_know(card: str) -> None:
    for heading in ("## Data and training", "## Figures on the test split", "## For whom", "## Limits"):
        assert heading in card
    assert "Research use only" in card and "CC BY-NC" in card and "Drawn, not photographed." in card
    assert re.search(r"SHA-256 `[0-9a-f]{64}`", card) and "protocol `grouped`" in card
    for field in ("age", "sex", "site"):
        assert f"**{field}**" in card
    assert "recall of mel" in card and "nan" not in card


def test_it_says_what_is_left_without_clinical_values(card: str, trained_run, exported, synthetic_data: Path) -> None:
    samples = trained_run.split.select(read_samples(synthetic_data), "test")
    without = [replace(sample, clinical={}) for sample in samples]
    probabilities = runtime_probabilities(Classifier(exported["int8"].path, "cpu"), without)
    labels, classes = labels_of(samples), trained_run.schema.classes
    expected = score(labels, probabilities, classes)
    section = card.split("## When clinical values are unknown")[1].split("##")[0]
    rows = {line.split(" | ")[0]: line.split(" | ") for line in section.splitlines() if line.startswith("| ")}
    assert list(rows)[2:] == ["| all that is known", "| no value", "| no age", "| no sex", "| no site"]
    found = [cell.split()[0] for cell in rows["| no value"][1:]]
    known = score(labels, runtime_probabilities(Classifier(exported["int8"].path, "cpu"), samples), classes)
    melanoma = classes.index("mel")
    assert found == [
        f"{expected['accuracy']:.3f}",
        f"{expected['balanced_accuracy']:.3f}",
        f"{expected['balanced_accuracy'] - known['balanced_accuracy']:.3f}",
        f"{recall_at_specificity(labels == melanoma, probabilities[:, melanoma]):.3f}",
    ]
    assert rows["| all that is known"][3] == "-"


def test_it_says_which_branch_reads_the_picture_and_whose_weights_it_started_from(card: str, exported) -> None:
    spec = Classifier(exported["int8"].path, "cpu").spec
    assert spec.training["branch"] == {"name": "dermiresnet"}
    assert "\n- Image branch `dermiresnet`, trained from random weights.\n" in card
    record = {"name": "resnet50", "source": "torchvision X.V2", "sha256": "ab" * 32, "licence": "BSD-3-Clause"}
    told = _branch(replace(spec, training={**spec.training, "branch": record}))
    assert told == (
        "Image branch `resnet50`, started from torchvision X.V2 (SHA-256 `abababababababab`, licence BSD-3-Clause)."
    )
    parts = [record, {"source": "timm Y", "sha256": "cd" * 32, "licence": "MIT"}]
    both = _branch(replace(spec, training={"branch": {**record, "name": "resnet50+y", "parts": parts}}))
    assert both.startswith("Image branch `resnet50+y`, started from torchvision X.V2 (SHA-256 `abababababababab`")
    assert both.endswith(" and timm Y (SHA-256 `cdcdcdcdcdcdcdcd`, licence MIT).")
    assert _branch(replace(spec, training={})) == ""


def test_a_file_of_other_weights_is_refused(trained_run, tmp_path: Path) -> None:
    tiny = Path(__file__).parents[2] / "data" / "tiny.onnx"
    with pytest.raises(DermedgeError, match="was not exported from the run"):
        model_card(trained_run, tiny)


def test_pictures_that_are_not_there_are_refused(trained_run, exported, tmp_path: Path) -> None:
    with pytest.raises(InputRejected, match="does not exist"):
        model_card(trained_run, exported["int8"].path, data=tmp_path / "nowhere")
