"""From a run to a published file: described, measured, and never half written."""

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from dermedge.data.ham10000 import CLASSES, read_samples
from dermedge.evaluation.evaluate import evaluate_run
from dermedge.training.predictions import runtime_probabilities, torch_probabilities
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.train import start_run
from dermedge_export import pipeline
from dermedge_export.check.parity import Limits, ParityError
from dermedge_export.description import describe
from dermedge_export.graph.ig_steps import DEFAULT_STEPS
from dermedge_export.pipeline import export_model
from dermedge_runtime import Classifier
from dermedge_runtime.errors import UsageError
from dermedge_runtime.model.model_file import read_model_file

pytestmark = pytest.mark.usefixtures("traced_once")


def test_every_precision_describes_itself(exported: dict, trained_run) -> None:
    assert set(exported) == {"fp32", "fp16", "int8"}
    for precision, report in exported.items():
        spec = read_model_file(report.path).spec
        assert (spec.precision, spec.fusion, spec.classes) == (precision, "cross_attention", CLASSES)
        assert spec.flavour == ("cpu" if precision == "int8" else "any")
        assert spec.weights_sha256 == trained_run.weights_sha256
        assert spec.training["split_sha256"] == trained_run.split.sha256
        assert spec.parity["split"] == "validation"
        assert spec.parity["images"] == len(trained_run.split.ids("validation"))
        assert spec.parity["limits"] == {
            "agreement": 0,
            "balanced_accuracy_drop": 1,
            "heatmap_correlation": 0,
            "melanoma_recall_drop": None,
        }
        assert "non-commercial" in spec.licence
        assert "Research use only" in spec.intended_use
        assert {"dermedge", "torch", "onnx", "onnxruntime"} <= set(spec.versions)


def test_a_file_says_how_many_steps_its_relevance_has(
    exported: dict, trained_run, synthetic_data: Path, tmp_path: Path
):
    assert {read_model_file(report.path).spec.ig_steps for report in exported.values()} == {DEFAULT_STEPS}
    samples, loose = read_samples(synthetic_data), Limits(agreement=0, balanced_accuracy_drop=1)
    finer = export_model(trained_run, samples, "fp32", tmp_path / "m.onnx", limits=loose, ig_steps=50).path
    assert read_model_file(finer).spec.ig_steps == json.loads((tmp_path / "m.json").read_text())["ig_steps"] == 50
    answers = [Classifier(path, "cpu").predict(samples[0].path, age=40) for path in (exported["fp32"].path, finer)]
    coarse, fine = (np.array(list(answer.explanation.attribution.values())) for answer in answers)
    assert answers[0].probabilities == answers[1].probabilities
    assert 0 < np.abs(coarse - fine).max() < 0.2 * np.abs(fine).max()
    with pytest.raises(UsageError, match="a file without explanations"):
        export_model(trained_run, samples, "fp32", tmp_path / "n.onnx", explain=False, ig_steps=50)
    assert not (tmp_path / "n.onnx").exists()


def test_an_fp16_file_says_which_layers_stayed_in_float32(exported: dict, trained_run, synthetic_data: Path) -> None:
    spec = read_model_file(exported["fp16"].path).spec
    assert spec.conversion["float32_layers"] == {}
    assert len(spec.conversion["largest_activation"]) == 17
    training = len(trained_run.split.select(read_samples(synthetic_data), "train"))
    assert spec.conversion["calibration"] == {"images": training, "split": "train"}
    assert json.loads(json.dumps(exported["fp16"].to_record()))["conversion"] == spec.conversion


def test_no_file_tells_where_it_was_made(exported: dict, synthetic_data: Path) -> None:
    assert len(exported) == 3
    for report in exported.values():
        assert str(synthetic_data).encode() not in report.path.read_bytes()


def test_sizes_follow_the_precision(exported: dict) -> None:
    sizes = {precision: report.bytes for precision, report in exported.items()}
    assert sizes["fp16"] < 0.52 * sizes["fp32"]
    assert sizes["int8"] < 0.28 * sizes["fp32"]


def test_runtime_equals_torch_on_the_test_split(exported: dict, trained_run, synthetic_data: Path) -> None:
    samples = trained_run.split.select(read_samples(synthetic_data), "test")
    expected = torch_probabilities(trained_run, samples)
    for precision, tolerance in (("fp32", 1e-4), ("fp16", 1e-2), ("int8", 0.15)):
        found = runtime_probabilities(Classifier(exported[precision].path, "cpu"), samples)
        np.testing.assert_allclose(found, expected, atol=tolerance, err_msg=precision)


def test_metadata_is_canonical_json(exported: dict) -> None:
    proto = onnx.load(exported["fp32"].path)
    (entry,) = proto.metadata_props
    assert entry.key == "dermedge"
    assert entry.value == json.dumps(json.loads(entry.value), sort_keys=True, separators=(",", ":"))


def test_over_the_limit_nothing_is_written(trained_run, synthetic_data: Path, tmp_path: Path) -> None:
    target = tmp_path / "models" / "m.onnx"
    with pytest.raises(ParityError, match=r"m\.onnx was not written: class agreement is .* the limit is 110\.00%"):
        export_model(trained_run, read_samples(synthetic_data), "fp32", target, explain=False, limits=Limits(1.1, 1))
    assert list(target.parent.iterdir()) == []


def test_over_the_limit_the_earlier_file_stays(trained_run, synthetic_data: Path, tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    target.write_bytes(b"earlier")
    with pytest.raises(ParityError):
        export_model(trained_run, read_samples(synthetic_data), "fp32", target, explain=False, limits=Limits(1.1, 1))
    assert target.read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_full_disk_leaves_nothing(trained_run, synthetic_data: Path, tmp_path: Path, monkeypatch) -> None:
    def full(self: Path, content: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(content[:1000])
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        export_model(trained_run, read_samples(synthetic_data), "fp32", tmp_path / "m.onnx", explain=False)
    assert list(tmp_path.iterdir()) == []


def test_photographs_never_come_from_the_test_split(trained_run, synthetic_data: Path) -> None:
    split, samples = trained_run.split, read_samples(synthetic_data)
    calibration, held_back, part = pipeline._photographs(samples, split, "int8", seed=0)
    assert {s.image_id for s in calibration} <= set(split.ids("train"))
    assert {s.image_id for s in held_back} == set(split.ids("validation"))
    assert part == "validation"


def test_without_validation_set_training_photographs_stand_in(trained_run, synthetic_data: Path) -> None:
    split, samples = trained_run.split, read_samples(synthetic_data)
    rows = [(image, lesion, "train" if part == "validation" else part) for image, lesion, part in split.rows]
    calibration, held_back, part = pipeline._photographs(samples, replace(split, rows=tuple(rows)), "int8", seed=0)
    assert part == "training"
    assert held_back or calibration
    assert not {s.image_id for s in held_back} & {s.image_id for s in calibration}
    assert not {s.image_id for s in (*held_back, *calibration)} & set(split.ids("test"))


def test_figures_with_flips_say_so_and_stay_out_of_files(
    exported: dict, trained_run, synthetic_data: Path, tmp_path: Path
) -> None:
    run = Run.open(shutil.copytree(trained_run.path, tmp_path / "run"))
    models = tmp_path / "models"
    models.mkdir()
    shutil.copy(exported["fp32"].path, models)
    plain = evaluate_run(run, models, "test", "cpu", data=synthetic_data)
    assert "flips" not in plain.to_record() and plain.title == "test split"
    assert describe(run, "fp32").metrics["split"] == "test"
    flipped = evaluate_run(run, models, "test", "cpu", data=synthetic_data, flips=True)
    assert json.loads(run.metrics_file.read_text()) == flipped.to_record() and flipped.to_record()["flips"] is True
    assert flipped.title == "test split, mean of 4 flips"
    assert describe(run, "fp32").metrics == {}
    samples = run.split.select(read_samples(synthetic_data), "test")
    torch_mean = torch_probabilities(run, samples, flips=True)
    file_mean = runtime_probabilities(Classifier(exported["fp32"].path, "cpu"), samples, flips=True)
    np.testing.assert_allclose(file_mean, torch_mean, atol=1e-4)


def test_a_run_without_pictures_has_no_flips(trained_run, tmp_path: Path) -> None:
    config = replace(trained_run.config, fusion="clinical_only")
    run = start_run(config, trained_run.split, RunFolder(tmp_path / "run"))
    with pytest.raises(UsageError, match="reads no picture that could be flipped"):
        evaluate_run(run, tmp_path, "test", "cpu", flips=True)
