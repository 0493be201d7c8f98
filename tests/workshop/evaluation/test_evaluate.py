"""The typed result of an evaluation, and the record that is written of it."""

import csv
import json
import shutil
from collections import Counter

import pytest

from dermedge.evaluation.evaluate import Evaluation, evaluate_run
from dermedge.evaluation.model_files import model_files
from dermedge.training.predictions import TRAINED_WEIGHTS
from dermedge.training.run import Run
from dermedge_runtime.model.model_file import read_model_file

pytestmark = pytest.mark.usefixtures("traced_once")

SCORES = {"accuracy": 0.5}


def test_a_record_says_flips_only_where_there_were_any():
    plain = Evaluation("test", False, "grouped", "ab", "cd", {TRAINED_WEIGHTS: SCORES})
    assert plain.title == "test split"
    assert plain.to_record() == {
        "split": "test", "protocol": "grouped", "split_sha256": "ab", "weights_sha256": "cd",
        "results": {TRAINED_WEIGHTS: SCORES}, "differences": {},
    }  # fmt: skip
    flipped = Evaluation("validation", True, "grouped", "ab", "cd", {})
    assert flipped.title == "validation split, mean of 4 flips" and flipped.to_record()["flips"] is True


def test_a_temporary_file_explains_only_where_that_is_asked_for(trained_run, tmp_path):
    outputs = {}
    for precision in (None, "fp32"):
        with model_files(trained_run, tmp_path, precision=precision) as (path,):
            outputs[precision] = read_model_file(path).spec.outputs
        assert not path.exists()
    assert outputs == {None: ("probabilities",), "fp32": ("probabilities", "heatmap", "relevance", "attribution")}


def test_a_run_is_scored_as_it_was_trained_and_as_it_is_shipped(trained_run, tmp_path, caplog):
    run = Run.open(shutil.copytree(trained_run.path, tmp_path / "run"))
    found = evaluate_run(run, tmp_path, "validation", "cpu")
    assert list(found.results) == [TRAINED_WEIGHTS, "cross_attention-fp32 (cpu)"], "a temporary file"
    assert found.weights_sha256 == run.weights_sha256 and found.split_sha256 == run.split.sha256
    assert json.loads(run.metrics_file.read_text(encoding="utf-8")) == found.to_record()
    trained, shipped = found.results.values()
    assert shipped["macro"]["auc"] == pytest.approx(trained["macro"]["auc"], abs=1e-3)
    for name in ("roc", "precision_recall", "reliability"):
        assert (run.plots / f"{name}.png").is_file()
    with run.predictions_file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert Counter(row["model"] for row in rows) == dict.fromkeys(found.results, trained["images"])
    for name, scores in found.results.items():
        hits = [row["truth"] == row["predicted"] for row in rows if row["model"] == name]
        assert sum(hits) / len(hits) == pytest.approx(scores["accuracy"])
    assert list(found.differences) == ["cross_attention-fp32 (cpu)"]
    assert found.differences["cross_attention-fp32 (cpu)"]["largest_probability_change"] < 1e-3
    run.history_file.write_text("a,b\n1\n", encoding="utf-8")
    caplog.set_level("INFO", "dermedge")
    again = evaluate_run(run, tmp_path, "validation", "cpu")
    assert again.to_record() == found.to_record(), "the figures are worth more than the plot of the history"
    assert any(line.startswith(f"not plotted: {run.history_file} is damaged") for line in caplog.messages)
