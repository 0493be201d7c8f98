import dataclasses
import re

import numpy as np
import pytest

from dermedge.statistics.metrics import score
from dermedge.tables import metrics_text, table
from dermedge_runtime.commands.prediction_text import prediction_text
from dermedge_runtime.inputs.clinical import ClinicalSchema
from dermedge_runtime.model.description import ImageSpec, ModelSpec
from dermedge_runtime.prediction import Prediction

NAMES = {"mel": "melanoma", "nv": "melanocytic nevus"}
SPEC = ModelSpec(("mel", "nv"), NAMES, "image_only", "fp32", ImageSpec(32, "bilinear"), ClinicalSchema())


def predicted(**probabilities: float) -> Prediction:
    """A Prediction with every field it has, whichever later versions add."""
    known = {"label": max(probabilities, key=probabilities.get), "probabilities": probabilities, "source": "a.jpg"}
    fields = {field.name: None for field in dataclasses.fields(Prediction)}
    return Prediction(**{**fields, "model": "m.onnx", "device": "cpu", "provider": "CPU", **known})


def test_a_table_aligns_the_first_column_left_and_the_others_right():
    text = table([["mel", 3, 0.12345], ["akiec", 1200, None]], ("class", "images", "auc"))
    assert text.split("\n") == [
        "class  images    auc",
        "--------------------",
        "mel         3  0.123",
        "akiec    1200      -",
    ]


def test_a_table_without_rows_is_its_header():
    assert table([], ("a", "bc")) == "a  bc\n-----"


def test_a_row_of_another_length_is_a_mistake():
    with pytest.raises((ValueError, IndexError)):
        table([["only one"]], ("a", "b"))


def test_a_prediction_is_a_headline_and_bars_from_the_most_probable_on():
    assert prediction_text(predicted(mel=0.25, nv=0.75), SPEC).split("\n")[:3] == [
        "a.jpg: nv (melanocytic nevus)",
        "  nv   melanocytic nevus   75.0%  ###############",
        "  mel  melanoma            25.0%  #####",
    ]


def test_a_bar_is_twenty_long_at_most_and_lines_have_no_trailing_blanks():
    lines = prediction_text(predicted(mel=1.0, nv=0.0), SPEC).split("\n")
    assert lines[1].endswith("100.0%  " + "#" * 20)
    assert lines[2].endswith("0.0%")
    assert lines == [line.rstrip() for line in lines]


@pytest.mark.parametrize("names", [{"mel": "melanoma"}, {}])
def test_classes_without_a_name_are_shown_by_their_code(names):
    text = prediction_text(predicted(mel=0.25, nv=0.75), dataclasses.replace(SPEC, class_names=names))
    assert text.startswith("a.jpg: nv")
    assert "75.0%" in text and "25.0%" in text


def test_metrics_are_a_headline_and_a_row_per_class_and_the_means():
    labels, probabilities = np.array([0, 0, 1, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    lines = metrics_text("run, test split", score(labels, probabilities, ("mel", "nv"))).split("\n")
    assert lines[0] == "run, test split: accuracy 0.750, balanced accuracy 0.750"
    columns = ["class", "images", "precision", "recall", "f1", "specificity", "auc", "avg precision"]
    assert re.split(r"  +", lines[1]) == [*columns, "recall @ 90 % spec", "@ 95 %"]
    assert lines[3].split() == ["mel", "2", "1.000", "0.500", "0.667", "1.000", *["1.000"] * 4]
    assert lines[4].split() == ["nv", "2", "0.667", "1.000", "0.800", "0.500", *["1.000"] * 4]
    assert lines[5].split() == ["macro", "mean", "4", "0.833", "0.750", "0.733", "0.750", *["1.000"] * 4]


def test_the_line_of_all_classes_has_intervals_where_there_are_any():
    scores = score(np.array([0, 1]), np.eye(2), ("mel", "nv"))
    scores["intervals"] = {"accuracy": {"value": 1.0, "low": 0.9, "high": 1.0}, "balanced_accuracy": None}
    assert metrics_text("run", scores).startswith("run: accuracy 1.000 [0.90, 1.00], balanced accuracy -\n")
