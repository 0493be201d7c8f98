"""A model file scored on a clinic's data set, without a run."""

import csv
import json
from dataclasses import replace

import pytest
from clinic import SCHEMA, many_rows, write_clinic
from make_tiny_model import TINY

import dermedge
from dermedge.commands.workshop import run
from dermedge.data.schema_file import parse_schema
from dermedge.evaluation import evaluate_file as scoring
from dermedge.evaluation.evaluate_file import evaluate_file
from dermedge_runtime import Classifier
from dermedge_runtime.decision import DecisionRule
from dermedge_runtime.errors import InputRejected, UsageError

MAP = {"benign": "nv", "malignant": "mel"}
CLINIC = parse_schema(SCHEMA.encode(), "clinic.toml")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clinic")
    write_clinic(folder, many_rows(30))
    return folder


class Deciding(Classifier):
    """The tiny model, calibrated: every class from 30 % on, referred from 40 % of melanoma on."""

    def __init__(self, path, device):
        super().__init__(path, device)
        rule = DecisionRule(
            set_thresholds=dict.fromkeys(self.spec.classes, 0.3),
            coverage=0.9,
            urgent=("mel",),
            urgent_threshold=0.4,
            sensitivity=0.95,
        )
        self.spec = replace(self.spec, decision=rule)


def test_its_figures_are_those_of_single_answers(clinic, tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "Classifier", Deciding)
    found = evaluate_file(TINY, clinic, CLINIC, classes=MAP, out=tmp_path / "out")
    model = Deciding(TINY, "cpu")
    single = [model.predict(s.path, **s.clinical) for s in found.data.samples]
    assert len(single) == 20 and found.scores["images"] == 20
    truth = [model.spec.classes[s.label] for s in found.data.samples]
    assert found.scores["accuracy"] == pytest.approx(sum(p.label == t for p, t in zip(single, truth, strict=True)) / 20)
    for verdict in ("refer", "unsure", "routine"):
        shown = found.scores["decision"][verdict]["value"]
        assert shown == pytest.approx(sum(p.decision == verdict for p in single) / 20)
    with (tmp_path / "out" / "predictions.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["decision"] for row in rows] == [p.decision for p in single]
    assert [set(row["set"].split("|")) for row in rows] == [set(p.prediction_set) for p in single]
    assert [float(row["probability_mel"]) for row in rows] == pytest.approx([p.probabilities["mel"] for p in single])
    record = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert record == found.to_record() and record["data"]["left_out"] == {"other": 10}
    plots = {path.name for path in (tmp_path / "out" / "plots").iterdir()}
    assert plots == {"confusion_matrix.png", "roc.png", "precision_recall.png", "reliability.png"}


def test_nothing_is_written_unless_asked_and_flips_are_said(clinic, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (clinic / "clinic.toml").write_text(SCHEMA, encoding="utf-8")
    found = dermedge.evaluate_file(
        TINY, clinic, schema=str(clinic / "clinic.toml"), classes=MAP, flips=True, without_values=True
    )
    assert isinstance(found, dermedge.FileEvaluation) and list(tmp_path.iterdir()) == []
    assert found.to_record()["flips"] is True and "Example clinic 2024, mean of 4 flips: accuracy" in found.to_text()
    assert list(found.scores["unknown_values"]) == ["all that is known", "no value", "no age", "no site"]
    assert "decision" not in found.scores and "flatter" not in found.to_text()


def test_a_file_that_was_trained_on_the_same_data_is_told(clinic, monkeypatch):
    class Trained(Classifier):
        def __init__(self, path, device):
            super().__init__(path, device)
            self.spec = replace(self.spec, training={"schema": CLINIC.name})

    monkeypatch.setattr(scoring, "Classifier", Trained)
    found = evaluate_file(TINY, clinic, CLINIC, classes=MAP)
    assert found.to_record()["seen_in_training"] is True
    assert "pictures of its training are among these" in found.to_text()


def test_what_cannot_be_scored_leaves_nothing(clinic, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"--out takes a folder, and .*file is a file\."):
        evaluate_file(TINY, clinic, CLINIC, classes=MAP, out=tmp_path / "file")
    broken = tmp_path / "data"
    write_clinic(broken, many_rows(6))
    picture = sorted((broken / "photos").rglob("*.jpg"))[0]
    picture.write_bytes(b"no picture")
    with pytest.raises(InputRejected):
        evaluate_file(TINY, broken, CLINIC, classes=MAP | {"other": "bcc"}, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_in_the_box_is_scored_by_its_name(synthetic_data, tmp_path, monkeypatch, capsys):
    (tmp_path / "tiny").mkdir()  # a folder is no model
    monkeypatch.chdir(tmp_path)
    assert run(["evaluate", "--model", "tiny", "--data", str(synthetic_data), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"] == "tiny.onnx"
