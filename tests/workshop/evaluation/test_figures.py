"""Figures, differences and their text, of answers made by hand."""

import csv
import json
import re

import numpy as np
import pytest

from dermedge.data.samples import Sample
from dermedge.evaluation.differences import difference
from dermedge.evaluation.evaluation_text import results_text
from dermedge.evaluation.figures import figures
from dermedge.evaluation.predictions_table import write_predictions
from dermedge.statistics.calibration import expected_calibration_error
from dermedge.training.answers import Answers
from dermedge_runtime.decision import DecisionRule

CLASSES = ("mel", "nv", "df")
LABELS = np.array([0, 0, 1, 1, 1, 1])
GROUPS = np.array(["a", "a", "b", "c", "d", "e"])
PROBABILITIES = np.array(
    [[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.9, 0.0]],
    dtype=np.float32,
)
SETS = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [1, 1, 0], [1, 1, 0], [0, 1, 0]], dtype=bool)
DECISIONS = np.array(["refer", "routine", "routine", "unsure", "refer", "routine"])
OOD = np.array([0.5, 0.9, 1.0, 1.1, 3.0, 0.1])
RULE = DecisionRule(dict.fromkeys(CLASSES, 0.3), 0.9, urgent=("mel",), melanoma="mel", sensitivity=0.95)
PLAIN, WHOLE = Answers(PROBABILITIES), Answers(PROBABILITIES, SETS, RULE, DECISIONS, OOD)


def test_a_contender_without_decisions_has_the_figures_of_its_probabilities():
    found = figures(PLAIN, LABELS, GROUPS, CLASSES)
    assert found["accuracy"] == pytest.approx(4 / 6) and found["intervals"]["accuracy"]["value"] == pytest.approx(4 / 6)
    assert found["intervals"]["recall"]["df"] is None and found["intervals"]["recall"]["mel"]["value"] == 0.5
    assert found["intervals"]["recall_at_95_specificity"]["mel"]["value"] == 0.5
    assert found["calibration"]["expected_calibration_error"] == expected_calibration_error(LABELS, PROBABILITIES)
    assert set(found["calibration"]["per_class"]) == set(CLASSES)
    assert not {"decision", "sets", "unfamiliar"} & set(found)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_decisions_sets_and_unfamiliar_pictures_are_counted_in_all_and_by_class():
    found = figures(WHOLE, LABELS, GROUPS, CLASSES)
    shares = {verdict: found["decision"][verdict]["value"] for verdict in ("refer", "unsure", "routine")}
    assert shares == pytest.approx({"refer": 2 / 6, "unsure": 1 / 6, "routine": 3 / 6})
    assert found["decision"]["by_class"]["nv"] == pytest.approx({"refer": 0.25, "unsure": 0.25, "routine": 0.5})
    assert found["decision"]["melanomas_among_routine"]["value"] == pytest.approx(1 / 3)
    assert found["sets"]["coverage"]["value"] == pytest.approx(5 / 6) and found["sets"]["by_class"]["df"] is None
    assert found["unfamiliar"]["share"]["value"] == pytest.approx(2 / 6), "the limit itself is familiar"
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_difference_names_only_what_differs():
    other = PROBABILITIES.copy()
    other[4] = (0.2, 0.7, 0.1)
    changed = Answers(other)
    before, after = (figures(each, LABELS, GROUPS, CLASSES) for each in (PLAIN, changed))
    found = difference(changed, after, PLAIN, before)
    assert found["recall"] == {"nv": pytest.approx(0.25)} and found["answers_changed"] == 1
    assert found["accuracy"] == pytest.approx(1 / 6) and found["balanced_accuracy"] == pytest.approx(0.125)
    assert found["largest_probability_change"] == pytest.approx(0.4)
    same = difference(PLAIN, before, PLAIN, before)
    assert same["recall"] == {} and not any(value for value in same.values())


def test_the_first_contender_is_told_whole_and_of_others_what_differs():
    results = {
        "weights": figures(PLAIN, LABELS, GROUPS, CLASSES),
        "file (cpu)": figures(WHOLE, LABELS, GROUPS, CLASSES),
    }
    others = {"file (cpu)": difference(WHOLE, results["file (cpu)"], PLAIN, results["weights"])}
    text = results_text("test split", results, others)
    assert text.startswith("weights, test split: accuracy 0.667 [") and text.count("macro mean") == 1
    row = next(line for line in text.splitlines() if line.startswith("file (cpu)"))
    assert row.split()[-1] == "none" and "0.667 (+0.000)" in row and "0 of 6" in row
    assert text.count("of a perfect model") == 1 and text.count("\nfile (cpu)") == 2, "differences, calibration"
    assert "shares by class" not in text
    assert re.search(r"^refer +0\.333 \[", text, re.MULTILINE) and re.search(
        r"^unfamiliar +0\.333 \[", text, re.MULTILINE
    )


def test_one_contender_alone_also_decides_by_class():
    text = results_text("clinic", {"file (cpu)": figures(WHOLE, LABELS, GROUPS, CLASSES)}, {})
    lines = text.splitlines()
    rows = [
        line.split() for line in lines[lines.index(next(x for x in lines if x.startswith("shares by class"))) + 2 :]
    ]
    assert [row[:6] for row in rows] == [
        ["mel", "2", "0.500", "0.000", "0.500", "0.500"],
        ["nv", "4", "0.250", "0.250", "0.500", "1.000"],
    ]
    assert "against it" not in text and "1.33" in text


def test_the_table_of_predictions_has_every_answer_of_every_contender(tmp_path):
    samples = [Sample(f"i,{n}", GROUPS[n], None, label, {}) for n, label in enumerate(LABELS)]
    path = tmp_path / "new" / "predictions.csv"
    write_predictions(path, samples, {"weights": PLAIN, "file (cpu)": WHOLE}, CLASSES)
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["model"] for row in rows] == ["weights"] * 6 + ["file (cpu)"] * 6
    columns = ["model", "image", "group", "truth", "predicted", *(f"probability_{code}" for code in CLASSES)]
    assert list(rows[0]) == [*columns, "set", "decision", "ood"]
    assert rows[4] | rows[10] == rows[10] | {"model": "file (cpu)"}
    assert (rows[10]["image"], rows[10]["group"], rows[10]["truth"], rows[10]["predicted"]) == ("i,4", "d", "nv", "mel")
    assert (rows[10]["set"], rows[10]["decision"], rows[10]["ood"]) == ("mel|nv", "refer", "3.0")
    assert (rows[4]["set"], rows[4]["decision"], rows[4]["ood"]) == ("", "", "")
    again = np.array([[row[f"probability_{code}"] for code in CLASSES] for row in rows[:6]]).astype(np.float32)
    assert np.array_equal(again, PROBABILITIES), "to the last bit"
    assert [path.name for path in path.parent.iterdir()] == ["predictions.csv"]
