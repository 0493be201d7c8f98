"""A whole small comparison in both modes: the run folders it leaves, the record, the page; stops, kills, refusals."""

import csv
import json
import logging
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from comparisons import FUSIONS, LOOSE, page_text, row_of, run_in, run_plan, small_plan
from safetensors.torch import load_file

from dermedge.data.ham10000 import CLASSES, read_samples
from dermedge.evaluation.comparison import compare as orchestration
from dermedge.evaluation.comparison import train_cell
from dermedge.evaluation.comparison.paper_figures import PAPER_ROWS
from dermedge.evaluation.comparison.publish import publish
from dermedge.evaluation.comparison.results import read_predictions
from dermedge.statistics.metrics import score
from dermedge.training.predictions import torch_probabilities
from dermedge_export.check.parity import Limits
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.model.model_file import read_model_file

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("narrow_trunk")]


@pytest.fixture(scope="module")
def compared(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Folder and record of a comparison: own branches, then shared ones, then clinical values with INT8 and latency."""
    root = tmp_path_factory.mktemp("compare")
    _, failed = run_plan(small_plan(root, synthetic_data))
    assert failed == []
    _, failed = run_plan(small_plan(root, synthetic_data, "shared"))
    assert failed == []
    record, failed = run_plan(
        small_plan(root, synthetic_data, fusions="clinical_only"), int8_limits=LOOSE, latency=True
    )
    assert failed == []
    return root, record


def own_files(root: Path) -> dict[str, bytes]:
    """Everything that is trained or measured, without what tells the time."""
    names = ("results.json", "predictions.csv", "weights.safetensors", "split.csv", "config.json")
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.name in names}


def test_every_cell_is_an_ordinary_run_with_the_figures_of_its_weights(compared, synthetic_data):
    root, record = compared
    for name in ("image_only", "cross_attention", "image_only-shared", "cross_attention-shared"):
        run = run_in(root, name)
        tested = run.split.select(read_samples(synthetic_data), "test")
        probabilities = torch_probabilities(run, tested)
        kept = read_predictions(run.path)
        assert kept.images == [sample.image_id for sample in tested]
        np.testing.assert_array_equal(kept.probabilities, probabilities)
        scores = score(np.array([sample.label for sample in tested]), probabilities, CLASSES)
        branch = "shared" if name.endswith("-shared") else "own"
        figures = row_of(record, run.config.fusion, branch)["figures"]
        assert figures["accuracy"] == {"mean": scores["accuracy"], "std": None, "values": [scores["accuracy"]]}
        assert figures["f1"]["mean"] == scores["macro"]["f1"]


def test_a_shared_run_has_the_trunk_of_image_only(compared):
    root, record = compared
    trunk = load_file(run_in(root, "image_only").weights_file)
    for name in ("image_only-shared", "cross_attention-shared"):
        weights = load_file(run_in(root, name).weights_file)
        shared = [key for key in weights if key.startswith("trunk.")]
        assert shared and all((weights[key] == trunk[key]).all() for key in shared)
        expected = {"shared": True, "weights_sha256": run_in(root, "image_only").weights_sha256, "views": 1}
        assert run_in(root, name).record["image_branch"] == expected
    own = load_file(run_in(root, "cross_attention").weights_file)
    assert not all((own[key] == trunk[key]).all() for key in trunk if key.startswith("trunk.stages.0"))
    assert row_of(record, "cross_attention", "shared")["views"] == 1


def test_int8_is_measured_on_the_file_that_lies_there(compared):
    root, record = compared
    path = run_in(root, "clinical_only").path / "clinical_only-int8.onnx"
    row = row_of(record, "clinical_only", "none")
    assert row["int8"]["bytes"] == path.stat().st_size
    assert read_model_file(path).spec.weights_sha256 == run_in(root, "clinical_only").weights_sha256
    assert row["int8"]["parity"]["split"] == "validation"
    assert row["latency"]["median_ms"] > 0
    assert record["latency"]["machine"]["cpus"] >= 1
    assert row_of(record, "cross_attention", "shared")["latency"] is None


def test_rows_are_compared_with_the_images_alone_trained_in_the_same_way(compared):
    _, record = compared
    assert row_of(record, "image_only", "own")["difference"] is None
    expected = {"own": ["dermiresnet", "image_only", "own"], "shared": ["dermiresnet", "image_only", "shared"]}
    for branch, baseline in expected.items():
        difference = row_of(record, "cross_attention", branch)["difference"]
        assert list(difference["baseline"]) == baseline
        figures = [
            row_of(record, *key)["figures"]["accuracy"]["mean"] for key in (("cross_attention", branch), baseline[1:])
        ]
        assert difference["accuracy"]["value"] == pytest.approx(figures[0] - figures[1])
        assert difference["accuracy"]["low"] <= difference["accuracy"]["value"] <= difference["accuracy"]["high"]
    assert list(row_of(record, "image_only", "shared")["difference"]["baseline"]) == [
        "dermiresnet",
        "image_only",
        "own",
    ]


def test_the_best_is_chosen_by_validation(compared):
    _, record = compared
    present = [row for row in record["rows"] if row["seeds"]]
    best = record["best"]["grouped"]
    chosen = row_of(record, best["fusion"], best["trunk"])
    assert chosen["validation_balanced_accuracy"]["mean"] == max(
        row["validation_balanced_accuracy"]["mean"] for row in present
    )
    assert record["best"]["paper"] is None


def test_a_second_start_does_nothing_again(compared, synthetic_data, caplog):
    caplog.set_level(logging.INFO, "dermedge")
    root, record = compared
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.parent.parent.name == "seed0"}
    plan = small_plan(root, synthetic_data, fusions="clinical_only")
    again, _ = run_plan(plan, int8_limits=LOOSE, latency=True)
    assert caplog.messages[0] == "1 trainings, 1 of them measured already"
    run_plan(small_plan(root, synthetic_data, "shared"))
    assert "3 trainings, 3 of them measured already" in caplog.messages
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not [line for line in caplog.messages if "latency" in line], "the same files were timed already"
    assert again["rows"] == record["rows"]


def test_the_page_holds_every_row_and_loads_nothing(compared):
    root, record = compared
    page = (root / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|<script|<link|<iframe|@import|url\(", re.sub(r"base64,[^\"]+", "", page))
    assert re.findall(r'src="(.{22})', page) == ["data:image/png;base64,"] * 4
    lines = page_text(page)
    for row in record["rows"]:
        wanted = f"{row['fusion']} ({row['name']})"
        assert [line for line in lines if line[:2] == [wanted, row["trunk"]]], wanted
    for paper in PAPER_ROWS:
        beside = [line for line in lines if line[0].startswith(f"{paper.fusion} (")]
        assert all(f"{paper.accuracy_percent} %" in line for line in beside)
    (line,) = (line for line in lines if line[:2] == ["cross_attention", "own"])
    (beside, *_) = (line for line in lines if line[0].startswith("cross_attention (") and line[1] == "own")
    figures = row_of(record, "cross_attention", "own")["figures"]
    assert beside[3] == f"{figures['accuracy']['mean']:.3f}" and beside[4] == "98.86 %"
    assert line[3] == f"{figures['balanced_accuracy']['mean']:.3f}"


def test_nobody_is_told_of_what_nobody_asked_for(compared):
    root, record = compared
    page = (root / "report.html").read_text(encoding="utf-8")
    assert "missing" not in page and "Protocol paper" not in page and "gated" not in page
    found = {(row["fusion"], row["trunk"]) for row in record["rows"]}
    assert found == {
        ("image_only", "own"), ("cross_attention", "own"), ("image_only", "shared"), ("cross_attention", "shared"),
        ("clinical_only", "none"),
    }  # fmt: skip
    with (root / "comparison.csv").open(encoding="utf-8", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == len(record["rows"]) == 5
    written = json.loads((root / "comparison.json").read_text(encoding="utf-8"))
    assert written | {"asked": record["asked"]} == json.loads(json.dumps(record)), "another test asks for other rows"
    assert record["asked"] == [["grouped", "none", "clinical_only", "none", [0]]]


def test_what_was_asked_for_and_not_measured_is_told_once_and_never_invented(synthetic_data, tmp_path, monkeypatch):
    def diverge(trainer):
        raise DermedgeError("The training loss of epoch 1 is nan.")

    run_plan(small_plan(tmp_path, synthetic_data, fusions="clinical_only"))
    monkeypatch.setattr(train_cell, "remaining_epochs", diverge)
    record, _ = run_plan(small_plan(tmp_path, synthetic_data, fusions="clinical_only,image_only", seeds=2))
    row = row_of(record, "image_only", "own")
    assert row["seeds"] == [] and row["parameters"] is None and row["difference"] is None
    assert row["begun_seeds"] == row["missing_seeds"] == [0, 1]
    assert set(row["figures"].values()) == {None}
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.findall(r"<li>(trunk .*?)</li>", page) == [
        "trunk none: seed 1 begun: clinical_only", "trunk own: seeds 0, 1 begun: image_only",
    ]  # fmt: skip
    assert {line[0] for line in page_text(page) if "only" in line[0]} == {
        "clinical_only (Clinical MLP (metadata only))", "clinical_only",
    }  # fmt: skip
    assert not [line for line in page_text(page) if "INT8" in "".join(line)], "nobody asked for INT8"
    with (tmp_path / "comparison.csv").open(encoding="utf-8", newline="") as stream:
        (empty,) = (line for line in csv.DictReader(stream) if line["fusion"] == "image_only")
    assert empty["accuracy_mean"] == "" and empty["accuracy_paper"] == "0.92"


def test_a_run_of_other_settings_is_refused_and_said(compared, synthetic_data):
    root, _ = compared
    before = own_files(root)
    with pytest.raises(UsageError, match=r"image_only has other settings: epochs 1 -> 7, dropout 0.2 -> 0.5\. Ask"):
        run_plan(small_plan(root, synthetic_data, epochs=7, dropout=0.5))
    with pytest.raises(UsageError, match="feature_views 1 -> 5"):
        run_plan(small_plan(root, synthetic_data, "shared", views=5))
    assert own_files(root) == before


def test_other_data_is_refused(compared, synthetic_data):
    root, _ = compared
    samples = read_samples(synthetic_data)[:-6]
    plan = small_plan(root, synthetic_data)
    with pytest.raises(UsageError, match="another split of the data"):
        orchestration.compare_fusions(plan, samples, page=root / "page.html", int8_limits=None, latency=False)
    assert not (root / "page.html").exists()


def test_an_int8_file_over_its_limits_is_told_and_not_fatal(synthetic_data, tmp_path):
    impossible = Limits(agreement=1.1, balanced_accuracy_drop=1)
    plan = small_plan(tmp_path, synthetic_data, fusions="clinical_only")
    record, failed = run_plan(plan, int8_limits=impossible, latency=True)
    assert failed == []
    row = row_of(record, "clinical_only", "none")
    assert "class agreement is" in row["int8"]["refused"] and row["latency"] is None
    assert not list(tmp_path.rglob("*.onnx"))
    (line,) = (
        line for line in page_text((tmp_path / "report.html").read_text()) if line[:2] == ["clinical_only", "none"]
    )
    assert line[-1] == "refused" and len(line) == 8, "neither size nor latency"


def test_the_paper_protocol_has_no_validation_and_says_so(synthetic_data, tmp_path):
    plan = small_plan(tmp_path, synthetic_data, fusions="clinical_only", protocols="paper", seeds=2)
    record, _ = run_plan(plan)
    row = row_of(record, "clinical_only", "none", "paper")
    assert row["seeds"] == [0, 1] and row["validation_balanced_accuracy"] is None
    accuracies = row["figures"]["accuracy"]
    assert accuracies["std"] == pytest.approx(np.std(accuracies["values"], ddof=1))
    assert record["best"]["paper"] is None, "none can be chosen without looking at the test"
    counted = record["leaks"]["paper"]
    assert set(counted) == {"0", "1"} and counted["0"]["leaks"] > 0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "no validation split" in page
    leaks, images = (sum(each[name] for each in counted.values()) for name in ("leaks", "test_images"))
    assert f"{100 * leaks / images:.1f} % ({leaks} of {images}) under <i>paper</i>" in page


def test_weights_that_changed_since_are_not_reported(synthetic_data, tmp_path):
    plan = small_plan(tmp_path, synthetic_data, fusions="clinical_only")
    run_plan(plan)
    weights = run_in(tmp_path, "clinical_only").weights_file
    weights.write_bytes(weights.read_bytes() + b" ")
    row = row_of(publish(tmp_path, tmp_path / "report.html"), "clinical_only", "none")
    assert row["seeds"] == [] and row["begun_seeds"] == [0]
    assert "seed 0 begun: clinical_only" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_comparison_from_before_the_trunk_was_called_so_goes_on(synthetic_data, tmp_path, caplog):
    caplog.set_level(logging.INFO, "dermedge")
    plan = small_plan(tmp_path, synthetic_data, fusions="clinical_only")
    run_plan(plan)
    path = run_in(tmp_path, "clinical_only").path / "results.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record.pop("image_branch") == "none" and record.pop("pretrained") is None
    former = {"format": 1, "image_branch": record.pop("trunk")}
    path.write_text(json.dumps({**record, **former}), encoding="utf-8")
    (tmp_path / "comparison.json").write_text('{"asked": [["grouped", "gated", "own", [3]]]}', encoding="utf-8")
    before = publish(tmp_path, tmp_path / "report.html")
    assert [row["image_branch"] for row in before["rows"]] == ["none", "dermiresnet"]
    assert row_of(before, "gated", "own")["missing_seeds"] == [3]
    caplog.clear()
    again, _ = run_plan(plan)
    assert caplog.messages[0] == "1 trainings, 1 of them measured already"
    assert row_of(again, "clinical_only", "none")["seeds"] == [0]


def test_damaged_results_are_one_sentence(synthetic_data, tmp_path):
    run_plan(small_plan(tmp_path, synthetic_data, fusions="clinical_only"))
    (run_in(tmp_path, "clinical_only").path / "results.json").write_text('{"format": 1}', encoding="utf-8")
    with pytest.raises(DermedgeError, match=r"results\.json is damaged .* Remove .*results\.json"):
        publish(tmp_path, tmp_path / "report.html")


def test_a_training_that_diverges_does_not_stop_the_others(synthetic_data, tmp_path, monkeypatch):
    remaining_epochs = train_cell.remaining_epochs

    def diverge(trainer):
        if trainer.config.fusion == "image_only":
            raise DermedgeError("The training loss of epoch 1 is nan.")
        return remaining_epochs(trainer)

    monkeypatch.setattr(train_cell, "remaining_epochs", diverge)
    record, failed = run_plan(small_plan(tmp_path, synthetic_data, "shared", fusions="cross_attention,clinical_only"))
    assert [line.split(":")[0] for line in failed] == [
        "grouped, seed 0, image_only",
        "grouped, seed 0, image_only, shared trunk",
        "grouped, seed 0, cross_attention, shared trunk",
    ]
    assert row_of(record, "clinical_only", "none")["seeds"] == [0]
    assert row_of(record, "image_only", "own")["begun_seeds"] == [0]


def test_stopped_by_hand_it_says_how_to_go_on(synthetic_data, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, "dermedge")

    def stop(trainer):
        raise KeyboardInterrupt

    monkeypatch.setattr(train_cell, "remaining_epochs", stop)
    with pytest.raises(KeyboardInterrupt):
        run_plan(small_plan(tmp_path, synthetic_data))
    assert caplog.messages[-1] == "Go on with the same command: it goes on after the last whole epoch."


# A comparison that ends itself with SIGKILL, which no handler sees, after so many whole epochs.
KILLED = """
import os, signal, sys
from pathlib import Path
from dermedge.training import train
from dermedge.models.branches import dermiresnet
from comparisons import NARROW, run_plan, small_plan

dermiresnet.STAGE_CHANNELS = NARROW
epoch, left = train.Trainer.run_epoch, [int(sys.argv[3])]

def die(self, number):
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    return epoch(self, number)

train.Trainer.run_epoch = die
run_plan(small_plan(Path(sys.argv[1]), Path(sys.argv[2]), "shared", fusions="cross_attention", epochs=2))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SIGKILL is a POSIX signal")
def test_killed_and_resumed_it_ends_with_the_same_results(synthetic_data, tmp_path, caplog):
    plans = [
        small_plan(tmp_path / name, synthetic_data, "shared", fusions="cross_attention", epochs=2)
        for name in ("whole", "killed")
    ]
    run_plan(plans[0])
    tests = os.fspath(Path(__file__).parents[3])
    path = os.pathsep.join([tests, *filter(None, [os.environ.get("PYTHONPATH")])])
    arguments = [os.fspath(plans[1].root), os.fspath(synthetic_data), "3"]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], env={**os.environ, "PYTHONPATH": path}, capture_output=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    halfway = run_in(plans[1].root, "image_only-shared")
    assert halfway.checkpoint_file.is_file() and not (halfway.path / "results.json").exists()
    caplog.set_level(logging.INFO, "dermedge")
    run_plan(plans[1])
    assert caplog.messages[0] == "3 trainings, 1 of them measured already"
    assert "  resumed after epoch 1; " in "\n".join(caplog.messages)
    whole, killed = own_files(plans[0].root), own_files(plans[1].root)
    assert len(whole) == 15
    assert [name for name in whole if whole[name] != killed.get(name)] == []


def test_all_means_all_of_the_paper(synthetic_data, tmp_path):
    from dermedge.models.fusion import PAPERS_FUSIONS as TABLE

    cells = small_plan(tmp_path, synthetic_data, fusions="all", protocols="all", seeds=2).cells
    assert len(cells) == len(set(cells)) == len(TABLE) * 2 * 2
    assert FUSIONS.split(",")[0] == cells[0].fusion, "what the others are compared with comes first"
