"""What a comparison writes and reads back: results of an earlier format, predictions, the CSV, the page.

The real comparison is that of the benchmarks, 68 trainings at 96 px.
"""

import io
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dermedge.evaluation.comparison.page import html_page
from dermedge.evaluation.comparison.publish import to_csv
from dermedge.evaluation.comparison.results import Predictions, read_predictions, read_results, write_predictions
from dermedge.evaluation.comparison.runs import FIGURES
from dermedge.evaluation.comparison.summary import spread
from dermedge_runtime.errors import DermedgeError

REAL = Path(__file__).parents[4] / "benchmarks" / "results" / "2026-11-25-compare-96px.json"
CLASSES = ("mel", "nv")


@pytest.fixture(scope="module")
def real() -> dict:
    """The record of the real comparison; it was written when the trunk was still called image branch."""
    record = json.loads(REAL.read_text(encoding="utf-8").replace('"image_branch"', '"trunk"'))
    for row in (*record["rows"], *filter(None, record["best"].values())):
        row |= {"image_branch": "none" if row["trunk"] == "none" else "dermiresnet", "pretrained": None}
    return record


def test_the_figures_of_the_real_comparison_come_out_again(real):
    for row in real["rows"]:
        for name in (*FIGURES, "validation_balanced_accuracy"):
            told = row["figures"][name] if name in FIGURES else row[name]
            if told is None:
                continue
            found = spread(pd.Series(told["values"]))
            assert found["values"] == told["values"]
            assert found["mean"] == pytest.approx(told["mean"], abs=1e-12)
            assert found["std"] == (None if told["std"] is None else pytest.approx(told["std"], abs=1e-12))
    assert sum(len(row["seeds"]) for row in real["rows"]) == 68


def test_its_csv_is_the_one_that_was_written_then(real):
    then = pd.read_csv(REAL.with_suffix(".csv"), dtype=str).rename(columns={"image_branch": "trunk"})
    now = pd.read_csv(io.StringIO(to_csv(real)), dtype=str)
    assert set(now.pop("image_branch")) == {"none", "dermiresnet"} and now.pop("pretrained").isna().all()
    pd.testing.assert_frame_equal(now, then)


def test_its_page_tells_every_figure(real):
    page = html_page(real, {})
    for row in real["rows"]:
        for name in FIGURES:
            told = row["figures"][name]
            deviation = "" if told["std"] is None else f" ± {told['std']:.3f}"
            assert f"<td>{told['mean']:.3f}{deviation}</td>" in page
        assert f"<td>{row['parameters']:,}</td>" in page
    assert re.search(r"[\d.]+ % \([\d,]+ of [\d,]+\) under <i>paper</i>\.", page)
    assert "{{" not in page and "{%" not in page


def test_what_a_page_is_told_is_text_and_no_markup(real):
    name = '<b onclick="x">'
    rows = [{**real["rows"][0], "fusion": name, "name": name, "int8": {"refused": name}}]
    page = html_page({**real, "rows": rows}, {})
    assert name not in page and page.count("&lt;b onclick=&#34;x&#34;&gt;") == 4


def results(**changes) -> dict:
    record = {"protocol": "paper", "seed": 0, "fusion": "gated", "settings": {}, "weights_sha256": ""}
    return {**record, "scores": {}, "int8": None, "parameters": 1, **changes}


def test_results_that_call_the_trunk_image_branch_still_open(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(results(format=1, image_branch="shared")), encoding="utf-8")
    found = read_results(tmp_path)
    assert (found["trunk"], found["image_branch"], found["pretrained"]) == ("shared", "dermiresnet", None)


@pytest.mark.parametrize(("trunk", "branch"), [("own", "dermiresnet"), ("none", "none")])
def test_results_from_before_there_were_branches_are_of_the_papers(tmp_path, trunk, branch):
    (tmp_path / "results.json").write_text(json.dumps(results(format=2, trunk=trunk)), encoding="utf-8")
    assert read_results(tmp_path)["image_branch"] == branch


def test_results_without_a_trunk_are_damaged(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(results()), encoding="utf-8")
    with pytest.raises(DermedgeError, match=r"results\.json is damaged \('trunk'\)\. Remove"):
        read_results(tmp_path)


@pytest.fixture
def predictions(tmp_path) -> Predictions:
    shares = np.array([[1 / 3, 2 / 3], [1e-7, 1]], dtype=np.float32)
    found = Predictions(["0001", "NA"], np.array(["nan", "é, 2"]), np.array([1, 0]), shares)
    write_predictions(tmp_path, found, CLASSES)
    return found


def test_predictions_come_back_to_the_last_bit_and_names_stay_names(predictions, tmp_path):
    found = read_predictions(tmp_path)
    assert found.images == ["0001", "NA"] and found.lesions.tolist() == ["nan", "é, 2"]
    assert found.labels.tolist() == [1, 0] and found.labels.dtype == np.int64
    np.testing.assert_array_equal(found.probabilities, predictions.probabilities)
    assert found.probabilities.dtype == np.float32
    header, first, _ = (tmp_path / "predictions.csv").read_text(encoding="utf-8").splitlines()
    assert (header, first) == ("image_id,lesion_id,diagnosis,mel,nv", "0001,nan,nv,0.33333334,0.6666667")


@pytest.mark.parametrize(
    ("old", "new"),
    [(",0.6666667", ""), ("0.6666667", "many"), (",nv,0.3", ",wart,0.3"), ("lesion_id", "lesion"), ("0.6666667", "")],
)
def test_damaged_predictions_are_one_sentence(predictions, tmp_path, old, new):
    path = tmp_path / "predictions.csv"
    whole = path.read_text(encoding="utf-8")
    assert old in whole
    path.write_text(whole.replace(old, new), encoding="utf-8")
    with pytest.raises(DermedgeError, match=r"predictions\.csv cannot be read .* Remove .*results\.json"):
        read_predictions(tmp_path)


def test_no_predictions_are_one_sentence(tmp_path):
    with pytest.raises(DermedgeError, match=r"predictions\.csv cannot be read"):
        read_predictions(tmp_path)
