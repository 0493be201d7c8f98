"""The commands of the README, one after the other; each of them also as a process, here or in another file."""

import csv
import json
import re
from pathlib import Path

import pytest

from dermedge.bench import cold
from dermedge_runtime.devices.cpu_instructions import cpu_name

pytestmark = pytest.mark.slow


def test_train_writes_the_run_and_says_whether_it_leaks(trained, workspace: Path) -> None:
    assert trained.returncode == 0, trained.stderr
    run = workspace / "runs" / "cross_attention"
    names = {path.name for path in run.iterdir()}
    assert names >= {"config.json", "split.csv", "weights.safetensors", "checkpoint.safetensors", "history.csv"}
    assert re.search(r"leak check: 0 of \d+ test images", trained.stderr)
    with (run / "history.csv").open(newline="") as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2"]


def test_paper_protocol_counts_its_leaks(cli_here, synthetic_data: Path) -> None:
    done = cli_here(
        *("train", "--data", synthetic_data, "--protocol", "paper", "--fusion", "clinical_only"),
        *("--image-size", 32, "--epochs", 1, "--per-class", 2, "--run", "runs/paper"),
    )
    assert done.returncode == 0, done.stderr
    leaks, tested = map(int, re.search(r"leak check: (\d+) of (\d+)", done.stderr).groups())
    assert 0 < leaks < tested


def test_train_starts_from_an_earlier_run(cli_here, synthetic_data: Path, trained, workspace: Path) -> None:
    settings = ("--data", synthetic_data, "--image-size", 48, "--epochs", 1, "--per-class", 2, "--run", "runs/larger")
    done = cli_here("train", *settings, "--start-from", "runs/cross_attention")
    assert done.returncode == 0 and "start from all weights of runs/cross_attention" in done.stderr, done.stderr
    again = cli_here("train", "--run", "runs/larger", "--resume", "--start-from", "runs/larger")
    assert again.returncode == 2 and "-> runs/larger" in again.stderr
    absent = cli_here("train", *settings[:-1], "runs/none", "--start-from", "runs/nothing")
    assert absent.returncode == 1 and len(absent.stderr.splitlines()) == 2 and not (workspace / "runs/none").exists()


def test_evaluate_scores_torch_and_the_runtime(cli, models: Path, workspace: Path) -> None:
    done = cli("evaluate", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert set(record["results"]) == {"trained weights (torch)", "cross_attention-int8 (cpu)"}
    run = workspace / "runs" / "cross_attention"
    assert json.loads((run / "metrics.json").read_text()) == record
    assert {path.name for path in (run / "plots").iterdir()} == {
        "confusion_matrix.png", "roc.png", "precision_recall.png", "reliability.png", "history.png",
    }  # fmt: skip


def test_evaluate_without_a_model_file_makes_a_temporary_one(cli_here, trained) -> None:
    done = cli_here("evaluate", "--split", "validation", "--models", "nothing-here")
    assert done.returncode == 0, done.stderr
    assert "trained weights (torch), validation split: accuracy" in done.stdout
    assert done.stdout.count("macro mean") == 1 and "\ncross_attention-fp32 (cpu)  " in done.stdout


def test_infer_without_an_exported_model_uses_the_one_in_the_box_and_says_so(
    cli, picture: Path, tmp_path: Path
) -> None:
    done = cli("infer", picture, "--age", 55, "--site", "back", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the model in the box, box.onnx," in done.stderr
    assert json.loads(done.stdout)["label"] in ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    told = cli("inspect", "--json", cwd=tmp_path)
    assert json.loads(told.stdout)["fusion"] == "concat"


def test_infer_finds_the_newest_model(cli, models: Path, picture: Path) -> None:
    done = cli("infer", picture, "--age", 55, "--site", "back", "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert record["model"] == "cross_attention-int8.onnx"
    assert (record["device"], record["provider"]) == ("cpu", "CPUExecutionProvider")
    assert (record["provider_version"].split("-")[0].split()[0], record["hardware"]) == ("onnxruntime", cpu_name())
    assert list(record["probabilities"]) == ["akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"]
    assert sum(record["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert record["label"] == max(record["probabilities"], key=record["probabilities"].get)


def test_infer_reads_the_clinical_values(cli, models: Path, picture: Path) -> None:
    def answer(*arguments: object) -> dict:
        return json.loads(cli("infer", picture, "--json", *arguments).stdout)["probabilities"]

    unknown = answer()
    assert answer("--age", 5, "--sex", "male", "--site", "foot") != unknown
    assert answer("--field", "age=5", "--field", "sex=male", "--field", "site=foot") == answer(
        "--age", 5, "--sex", "male", "--site", "foot"
    )
    assert answer("--site", "unknown", "--sex", "unknown") == unknown


def test_infer_text_names_model_device_and_purpose(cli, models: Path, picture: Path) -> None:
    done = cli("infer", picture)
    assert "melanocytic nevus" in done.stdout
    assert "cross_attention-int8.onnx on cpu (CPUExecutionProvider, onnxruntime" in done.stdout
    assert f"; {cpu_name()}). Research use only" in done.stdout
    assert done.stderr == ""


def test_one_unreadable_image_stops_nothing(cli, models: Path, picture: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(picture.read_bytes()[:900])
    done = cli("infer", picture, broken, picture, "--json")
    assert done.returncode == 3
    first, rejected, last = map(json.loads, done.stdout.splitlines())
    assert {**first, "time": None} == {**last, "time": None}
    assert set(rejected) == {"file", "error", "time"}
    assert str(broken) in done.stderr


def test_inspect_tells_everything(cli, models: Path) -> None:
    record = json.loads(cli("inspect", models / "cross_attention-int8.onnx", "--json").stdout)
    assert (record["precision"], record["fusion"], record["image"]["size"]) == ("int8", "cross_attention", 32)
    assert len(record["features"]) == 20
    assert record["parity"]["split"] == "validation"
    text = cli("inspect", models / "cross_attention-int8.onnx").stdout
    for word in ("upper extremity", "Research use only", record["sha256"], "split_sha256"):
        assert word in text


@pytest.mark.usefixtures("own_threads")
def test_bench_compares_torch_and_files_in_one_run(cli_here, models: Path, workspace: Path, monkeypatch) -> None:
    monkeypatch.setattr(cold, "_ROUNDS", 1)  # of whole processes, some of which import torch
    done = cli_here("bench", models / "cross_attention-int8.onnx", "--devices", "cpu,cuda", "--rounds", 3, "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert json.loads((workspace / "bench.json").read_text()) == record
    kinds = {(row["contender"], row["kind"], row["batch"]) for row in record["results"]}
    for contender in ("torch eager", "cross_attention-int8 (cpu)"):
        for kind in (("network", 1), ("network", 32), ("end to end", 1)):
            assert (contender, *kind) in kinds
    assert all(0 < row["median_ms"] <= row["p95_ms"] for row in record["results"])
    commands = {row["command"]: row for row in record["cold"]}
    infer = commands["dermedge infer, cross_attention-int8 (cpu)"]
    assert 0 < infer["peak_mb"] < commands["torch eager"]["peak_mb"]
    assert "cuda was requested" in record["absent"]["cuda"]
    ran_on = record["contenders"]["cross_attention-int8 (cpu)"]
    assert (ran_on["device"], ran_on["provider"], ran_on["hardware"]) == ("cpu", "CPUExecutionProvider", cpu_name())
    assert ran_on["provider_version"].startswith("onnxruntime")
    assert record["contenders"]["torch eager"]["provider"] == "torch"
    assert record["machine"]["cpus"] >= 1
    assert "onnxruntime" in record["versions"]


def test_resume_of_a_finished_run_changes_nothing(cli_here, models: Path, workspace: Path) -> None:
    weights = workspace / "runs" / "cross_attention" / "weights.safetensors"
    before = weights.read_bytes()
    done = cli_here("train", "--resume")
    assert done.returncode == 0, done.stderr
    assert "resumed after epoch 2" in done.stderr
    assert weights.read_bytes() == before
