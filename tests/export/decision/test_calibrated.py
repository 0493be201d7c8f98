"""A run with enough validation lesions: its exports are calibrated, decide, and can be calibrated for other demands."""

import json
import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from quarter_branch import quarter_widths

import dermedge
from dermedge.config import TrainConfig
from dermedge.data.ham10000 import read_samples
from dermedge.data.splits import make_split
from dermedge.data.synthetic import write_dataset
from dermedge.evaluation.card import model_card
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.train import start_run, train
from dermedge_export import pipeline
from dermedge_export.check.parity import Limits
from dermedge_export.decision.asked import Asked
from dermedge_export.decision.calibrated import _early_and_late, check_can_calibrate
from dermedge_export.pipeline import export_model
from dermedge_runtime import Classifier
from dermedge_runtime.commands.infer_report import html_report
from dermedge_runtime.commands.prediction_text import prediction_text
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.model.model_file import read_model_file

pytestmark = pytest.mark.usefixtures("traced_once")

LOOSE = Limits(agreement=0, balanced_accuracy_drop=1)
MODEST = Asked(sensitivity=0.8, coverage=0.7)


@pytest.fixture(scope="module")
def many(shared_folder) -> Path:
    """280 lesions, 40 of each class."""
    return shared_folder.once("many lesions", lambda folder: write_dataset(folder, lesions_per_class=40))


@pytest.fixture(scope="module")
def run(many: Path, shared_folder) -> Run:
    settings = {"fusion": "concat", "image_size": 32, "epochs": 1, "per_class": 8, "batch_size": 28}
    config = TrainConfig(data=str(many), widths=quarter_widths(), **settings)

    def make(folder: Path) -> None:
        samples = read_samples(many)
        started = start_run(config, make_split(samples, config.protocol, config.seed), RunFolder(folder))
        train(config, samples, started)

    return Run.open(shared_folder.once("run of many lesions", make))


@pytest.fixture(scope="module")
def files(traced_once, run: Run, many: Path, tmp_path_factory) -> dict[str, Path]:
    """FP32 as an export leaves it without calibration and calibrated afterwards, INT8 as an export calibrates it."""
    folder, samples = tmp_path_factory.mktemp("calibrated"), read_samples(many)
    plain = export_model(run, samples, "fp32", folder / "plain.onnx", limits=LOOSE, asked=None).path
    calibrated = dermedge.calibrate(plain, run, sensitivity=0.8, coverage=0.7, path=folder / "fp32.onnx").path
    int8 = export_model(run, samples, "int8", folder / "int8.onnx", limits=LOOSE, asked=MODEST).path
    return {"plain": plain, "fp32": calibrated, "int8": int8}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_every_precision_is_calibrated_with_its_own_arithmetic(files, many: Path, precision: str):
    classifier = Classifier(files[precision], "cpu")
    spec = classifier.spec
    assert spec.outputs == ("probabilities", "heatmap", "relevance", "attribution", "ood_score", "lesion_ood_score")
    assert spec.decision.urgent == ("mel", "bcc", "akiec") and spec.decision.sensitivity == 0.8
    after, before = (spec.calibration["validation"][name] for name in ("after", "before"))
    assert after["brier_score"] <= before["brier_score"] + 0.01
    answer = classifier.predict(read_samples(many)[0].path, age=50)
    assert answer.decision in ("refer", "unsure", "routine") and answer.reasons and answer.prediction_set
    assert answer.ood_score > 0 and answer.lesion_ood_score > 0
    reached = spec.calibration["reached"]
    assert reached["split"] == "test" and reached["decision"]["sensitivity"]["value"] <= 1


def test_the_files_of_all_precisions_agree(files, many: Path):
    samples = read_samples(many)[:40]
    answers = {
        precision: Classifier(path, "cpu").predict_many([each.path for each in samples])
        for precision, path in files.items()
    }
    pairs = list(zip(answers["fp32"], answers["int8"], strict=True))
    assert np.mean([(one.ood_score > 1) == (other.ood_score > 1) for one, other in pairs]) >= 0.85
    assert np.mean([one.decision == other.decision for one, other in pairs]) >= 0.8


def test_validation_pictures_are_familiar_and_noise_is_not(files, run: Run, many: Path):
    classifier = Classifier(files["int8"], "cpu")
    held = run.split.select(read_samples(many), "validation")
    scores = [answer.ood_score for answer in classifier.predict_many([each.path for each in held])]
    assert np.mean(np.array(scores) > 1) == pytest.approx(0.05, abs=0.04)
    noise = np.random.default_rng(0).integers(0, 256, (64, 100, 100, 3), dtype=np.uint8)
    strange = classifier.predict_many(list(noise))
    assert all(answer.ood_score > 1 for answer in strange)
    assert all(answer.decision in ("refer", "unsure") for answer in strange)
    assert all(any("unlike those" in reason for reason in answer.reasons) for answer in strange)


def test_a_calibration_for_other_demands_changes_thresholds_alone(files, run: Run, many: Path, tmp_path: Path):
    other = dermedge.calibrate(files["int8"], run, sensitivity=0.7, coverage=0.6, path=tmp_path / "other.onnx").path
    one, two = read_model_file(files["int8"]).spec, read_model_file(other).spec
    assert (two.decision.sensitivity, two.decision.coverage) == (0.7, 0.6)
    assert two.decision.urgent_threshold >= one.decision.urgent_threshold
    assert two.calibration["scaling"]["method"] == one.calibration["scaling"]["method"]
    picture = read_samples(many)[0].path
    before, after = (Classifier(path, "cpu").predict(picture) for path in (files["int8"], other))
    assert list(after.probabilities.values()) == pytest.approx(list(before.probabilities.values()), abs=1e-4)
    assert after.ood_score == pytest.approx(before.ood_score, rel=1e-3)
    assert json.loads((tmp_path / "other.json").read_text())["decision"]["sensitivity"] == 0.7
    names = [node.name for node in onnx.load(other).graph.node]
    assert len(names) == len([node.name for node in onnx.load(files["int8"]).graph.node])


def test_an_uncalibrated_file_answers_without(files, many: Path):
    answer = Classifier(files["plain"], "cpu").predict(read_samples(many)[0].path)
    assert (answer.decision, answer.prediction_set, answer.ood_score, answer.reasons) == (None, None, None, ())
    described = read_model_file(files["plain"]).spec.to_json()
    assert '"decision"' not in described and '"calibration":' not in described


def test_what_cannot_be_reached_is_refused_and_nothing_written(files, run: Run, tmp_path: Path):
    before = files["fp32"].read_bytes()
    with pytest.raises(UsageError, match="takes 99 urgent validation lesions"):
        dermedge.calibrate(files["fp32"], run, sensitivity=0.99)
    assert files["fp32"].read_bytes() == before
    with pytest.raises(UsageError, match="sensitivity must be a share"):
        dermedge.calibrate(files["fp32"], run, sensitivity=1)
    with pytest.raises(UsageError, match="is a folder"):
        dermedge.calibrate(files["fp32"], run, path=tmp_path)


def test_the_card_tells_what_the_decision_reaches(files, run: Run):
    card = model_card(run, files["int8"])
    section = card.split("## Decision")[1].split("## For whom")[0]
    reached = read_model_file(files["int8"]).spec.calibration["reached"]
    row = next(line for line in section.splitlines() if "(sensitivity)" in line)
    assert f"{reached['decision']['sensitivity']['value']:.3f} [" in row
    assert f"{reached['calibration']['expected_calibration_error']:.3f} in 15 bins" in section
    assert "| mel (melanoma) |" in section and "melanomas among the routine answers" in section
    assert "coverage of the sets" in card and "not calibrated" not in card and "nan" not in card


def test_a_picture_is_answered_with_the_decision_and_why(files, many: Path, tmp_path: Path):
    picture = read_samples(many)[0].path
    answer = Classifier(files["fp32"], "cpu").predict(picture)
    lines = prediction_text(answer, Classifier(files["fp32"], "cpu").spec).splitlines()
    assert lines[1] == f"  {answer.decision}: {answer.reasons[0]}"
    assert lines[2 : 1 + len(answer.reasons)] == [f"    {reason}" for reason in answer.reasons[1:]]
    record = answer.to_record(explain=True)
    assert record["decision"] == answer.decision and record["prediction_set"] == list(answer.prediction_set)
    page = html_report(answer, Classifier(files["fp32"], "cpu").spec)
    assert f'<div class="decision {answer.decision}"><strong>{answer.decision}</strong>' in page


def test_a_file_of_another_run_is_refused(exported: dict, run: Run):
    with pytest.raises(DermedgeError, match="was not exported from the run"):
        dermedge.calibrate(exported["fp32"].path, run)


def test_an_export_says_why_it_is_not_calibrated(exported: dict, trained_run, synthetic_data, caplog):
    path = exported["fp32"].path
    spec, proto = read_model_file(path).spec, onnx.load(path)
    assert spec.decision is None, "28 lesions are too few"
    with caplog.at_level(logging.INFO):
        made = pipeline._calibrated(proto, spec, trained_run, read_samples(synthetic_data), Asked())
    assert "not calibrated: A calibration takes 30 validation lesions or more" in caplog.text
    assert (made.proto, made.spec, made.scaling) == (proto, spec, None)


def test_a_protocol_without_validation_split_is_refused_with_the_reason(many: Path):
    samples = read_samples(many)
    with pytest.raises(UsageError, match="refit has no validation split to calibrate on, and training photographs"):
        check_can_calibrate(make_split(samples, "refit", 0), samples)


@pytest.mark.parametrize(
    ("stages", "early", "late"),
    [
        (["a", "b", "c"], ["a", "b"], ["c", "last"]),
        (["a"], ["a"], ["last"]),  # both scores would compute its statistics, under one name
        ([], ["last"], ["last"]),
    ],
)
def test_a_network_with_few_stages_or_none_has_both_scores(stages, early, late):
    assert _early_and_late(stages, ["last"]) == (early, late)
