"""`dermedge feedback` against a study small enough to be computed by hand."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from dermedge.evaluation.reader_study.study_figures import study_figures
from dermedge.evaluation.reader_study.study_text import study_text
from dermedge.evaluation.reader_study.truth_table import read_truth
from dermedge.service.feedback.feedback_file import FORMAT, read_feedback
from dermedge.service.feedback.study import Study
from dermedge_runtime import InputRejected
from dermedge_runtime.errors import UsageError

TRUTH = {"1": "nv", "2": "mel", "3": "mel", "4": "bcc"}
MODEL = {"1": "nv", "2": "mel", "3": "nv", "4": "bcc", "5": "nv", "6": "nv"}
BEFORE = {
    "ana": {"1": "nv", "2": "nv", "3": "mel", "4": "do_not_know"},
    "ben": {"1": "bcc", "2": "nv", "3": "nv", "4": "mel"},
}
AFTER = {"ana": {"1": "nv", "2": "mel", "3": "nv", "4": "bcc"}, "ben": {"1": "nv", "2": "mel", "3": "mel", "4": "bcc"}}
NAMES = {"nv": "melanocytic nevus", "bcc": "basal cell carcinoma", "mel": "melanoma"}


def _events() -> list[dict[str, object]]:
    def answer(reader: str, case: str, label: str) -> dict[str, object]:
        told = {
            "label": label,
            "probabilities": dict.fromkeys(NAMES, 1 / 3),
            "decision": None,
            "model_sha256": "a" * 64,
        }
        return {"event": "model", "reader": reader, "case": case, **told}

    def said(event: str, reader: str, case: str, diagnosis: str) -> dict[str, object]:
        return {"event": event, "reader": reader, "case": case, "diagnosis": diagnosis}

    events = [{"event": "begun", "format": FORMAT, "model": "m.onnx", "model_sha256": "a" * 64,
               "classes": list(NAMES), "class_names": NAMES}]  # fmt: skip
    for reader in ("ana", "ben"):
        for case in TRUTH:
            events.append(said("first", reader, case, BEFORE[reader][case]))
            if (reader, case) == ("ana", "2"):
                events.append(answer(reader, case, "nv"))  # before another clinical value was given
            events += [answer(reader, case, MODEL[case]), said("second", reader, case, AFTER[reader][case])]
    events += [said("first", "ana", "5", "nv"), answer("ana", "5", "nv")]
    events += [said("first", "ben", "6", "nv"), answer("ben", "6", "nv"), said("second", "ben", "6", "nv")]
    return [*events, said("first", "ben", "7", "nv")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "r.jsonl"
    path.write_text("".join(f"{json.dumps(event)}\n" for event in _events()) + '{"event":"sec')
    return path


@pytest.fixture
def study(file: Path) -> Study:
    return read_feedback(file)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    path.write_text(
        "Case;Age;Diagnosis\n1;5;NV\n2;5;Melanoma\n3;5;mel\n3;6;mel\n4;5;Basal cell carcinoma\n6;;\n99;5;eczema\n"
    )
    return path


def _accuracy(figures: dict, arm: str, key: str = "accuracy") -> float:
    return figures[arm][key]["value"]


def test_figures_are_those_of_the_hand(study: Study) -> None:
    found = study_figures(study, TRUTH)
    ana, ben, every = found["readers"]["ana"], found["readers"]["ben"], found["all"]
    assert [_accuracy(ana, arm) for arm in ("alone", "model", "with_model")] == [0.5, 0.75, 0.75]
    assert [_accuracy(ben, arm) for arm in ("alone", "model", "with_model")] == [0, 0.75, 1]
    assert [_accuracy(every, arm) for arm in ("alone", "model", "with_model")] == [0.25, 0.75, 0.875]
    # Of nv, mel and bcc: 1, 1/2 and 0 alone; 1, 1/2 and 1 with the model.
    balanced = [_accuracy(ana, arm, "balanced_accuracy") for arm in ("alone", "model", "with_model")]
    assert balanced == pytest.approx([0.5, 2.5 / 3, 2.5 / 3])
    assert (ana["readings"], ana["cases"], every["readings"], every["cases"]) == (4, 4, 8, 4)
    assert (ana["alone"]["did_not_know"], every["alone"]["did_not_know"], ana["with_model"]["did_not_know"]) == (
        1,
        1,
        0,
    )

    def changes(figures: dict, key: str = "change") -> tuple:
        return tuple(figures[key][each] for each in ("better", "worse", "better_cases", "worse_cases", "p"))

    assert changes(ana) == (2, 1, 2, 1, 1.0)
    assert changes(ben) == (4, 0, 4, 0, 0.125)
    assert changes(every) == (6, 1, 3, 0, 0.25)  # in case 3 one reader gained and one lost
    assert changes(ana, "against_model") == (0, 0, 0, 0, 1.0)
    assert changes(ben, "against_model") == (1, 0, 1, 0, 1.0)
    assert ana["change"]["accuracy"]["value"] == 0.25
    assert ana["change"]["balanced_accuracy"]["value"] == pytest.approx(1 / 3)


def test_intervals_know_small_studies(study: Study) -> None:
    found = study_figures(study, TRUTH)
    ben, ana = found["readers"]["ben"], found["readers"]["ana"]
    wilson = 1.959964**2 / (4 + 1.959964**2)
    for figure in (ben["alone"]["accuracy"], ben["alone"]["balanced_accuracy"]):
        assert (figure["low"], figure["high"]) == (0, pytest.approx(wilson, abs=1e-6))
    assert ana["against_model"]["accuracy"] == {"value": 0, "low": None, "high": None}
    # Over all readers a case is drawn with its readings: 0, 1/2, 1/2 and 1/2 or so are right in each, never 1/8 alone.
    every = found["all"]["alone"]["accuracy"]
    assert 0 <= every["low"] < 0.25 < every["high"] == 0.5


def test_what_is_left_out_is_named(study: Study) -> None:
    found = study_figures(study, TRUTH)
    assert found["left_out"] == {
        "answer": [{"reader": "ben", "case": "7"}],
        "second_opinion": [{"reader": "ana", "case": "5"}],
        "truth": [{"reader": "ben", "case": "6"}],
    }
    text = study_text(found, "r.jsonl")
    assert text.startswith("r.jsonl: 8 readings of 4 cases by 2 readers, with m.onnx\n")
    assert "left out, without a second opinion: 1 (ana on case 5)" in text
    assert "left out, without a truth: 1 (ben on case 6)" in text
    assert "Not known counts as not right: 1 alone, 0 with the model." in text
    [row] = [line.split() for line in text.splitlines() if line.startswith("all") and " 6 " in line]
    assert row[:3] == ["all", "6", "1"] and row[-1] == "0.250"


@pytest.mark.parametrize("ending", ["csv", "tsv", "xlsx", "parquet"])
def test_the_truth_comes_in_any_table(study: Study, table: Path, ending: str) -> None:
    frame = pd.read_csv(table, sep=";", dtype=str)
    other = table.with_name(f"other.{ending}")
    if ending == "parquet":
        frame.to_parquet(other)
    elif ending == "xlsx":
        frame.assign(Case=frame["Case"].astype(int)).to_excel(other, index=False)
    else:
        frame.to_csv(other, sep="\t" if ending == "tsv" else ",", index=False)
    assert read_truth(other, study) == TRUTH


@pytest.mark.parametrize(
    ("old", "new", "options", "words"),
    [
        ("Case", "Number", {}, "clearly the case; its columns are Number, Age, Diagnosis. Name it: --case-column"),
        ("Diagnosis", "What", {}, "clearly the diagnosis; .* Name it: --truth-column COLUMN"),
        ("", "", {"case_column": "Csae"}, "t.csv has no column Csae; did you mean Case?"),
        ("", "", {"truth_column": "Case"}, "cannot both be in the column Case"),
        ("Age", "Dx", {}, None),
        ("Age", "Case ", {}, "has 2 columns that may be the case"),
        ("3;6;mel", "3;6;nv", {}, "Case 3 has two truths in t.csv: mel and nv."),
        ("2;5;Melanoma", "2;5;melanomma", {}, "case 2 in t.csv is melanomma, .* not have; did you mean mel?"),
        ("2;5;Melanoma", "2;5;scc", {}, "is scc, which the model does not have; it has nv, bcc, mel."),
    ],
)  # fmt: skip
def test_what_is_no_truth_is_one_sentence(
    study: Study, table: Path, old: str, new: str, options: dict[str, str], words: str | None
) -> None:
    table.write_text(table.read_text().replace(old, new, 1) if old else table.read_text())
    if words is None:  # the first of the usual words counts
        assert read_truth(table, study, **options) == TRUTH
        return
    with pytest.raises(InputRejected, match=words):
        read_truth(table, study, **options)


def test_a_study_without_a_whole_reading_has_no_figures(study: Study) -> None:
    with pytest.raises(
        InputRejected, match="None of the 11 readings can be counted: 1 lack answer, 1 lack second opinion"
    ):
        study_figures(study, {})


def test_the_command(file: Path, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dermedge.evaluation.reader_study.feedback_command import run

    out = tmp_path / "figures.json"
    assert run([str(file), "--truth", str(table), "--json", str(out)]) == 0
    assert "by 2 readers" in capsys.readouterr().out
    figures = json.loads(out.read_text())
    assert math.isclose(figures["all"]["change"]["accuracy"]["value"], 0.625)
    with pytest.raises(UsageError, match="feedback needs the true diagnoses: --truth TABLE"):
        run([str(file)])
    with pytest.raises(UsageError, match="is also an input"):
        run([str(file), "--truth", str(table), "--json", str(table)])
    with pytest.raises(InputRejected, match=r"t\.csv is no feedback file"):
        run([str(table), "--truth", str(table)])
