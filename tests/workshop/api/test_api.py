"""The main job from Python: train, evaluate, export, predict, on generated pictures."""

import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from quarter_branch import quarter_widths

import dermedge
from dermedge.api.export import PRECISIONS, file_name
from dermedge.api.settings import expected_settings, settings_of
from dermedge.asked_settings import AskedSettings
from dermedge.config import TrainConfig
from dermedge.data.ham10000 import HAM10000
from dermedge.training.predictions import TRAINED_WEIGHTS
from dermedge.training.run_names import run_name
from dermedge_export import pipeline
from dermedge_export.engine.target import EngineTarget
from dermedge_runtime import Classifier
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.files.file_lock import try_lock

pytestmark = pytest.mark.usefixtures("traced_once")

LOOSE = dermedge.Limits(agreement=0, balanced_accuracy_drop=1)  # one epoch on a handful of pictures decides by a hair
SMALL = {"image_size": 32, "epochs": 1, "per_class": 4, "batch_size": 14, "device": "cpu"}


@pytest.fixture(scope="module")
def main_job(traced_once, synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory):
    """What the three calls give in a row, and what the log said."""
    folder = tmp_path_factory.mktemp("job")
    said = logging.getLogger("dermedge")
    lines: list[str] = []
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    level = said.level
    said.addHandler(handler)
    said.setLevel(logging.INFO)
    try:
        narrow = TrainConfig(data=str(synthetic_data), widths=quarter_widths())
        run = dermedge.train(synthetic_data, config=narrow, fusion="concat", run=folder / "run", **SMALL)
        evaluation = dermedge.evaluate(run, models=folder)
        model = dermedge.export(run, precision="int8", models=folder, limits=LOOSE)
    finally:
        said.removeHandler(handler)
        said.setLevel(level)
    return run, evaluation, model, lines


def test_three_calls_and_a_prediction(main_job, synthetic_data):
    run, evaluation, model, _ = main_job
    assert isinstance(run, dermedge.Run) and isinstance(evaluation, dermedge.Evaluation)
    assert (run.config.fusion, run.config.epochs, run.config.precision) == ("concat", 1, "fp32")
    assert list(evaluation.results) == [TRAINED_WEIGHTS, "concat-fp32 (cpu)"]
    assert evaluation.weights_sha256 == run.weights_sha256
    assert isinstance(model, dermedge.ExportedModel) and model.path.name == "concat-int8.onnx"
    assert (model.precision, model.bytes, model.engine) == ("int8", model.path.stat().st_size, None)
    assert model.parity.images == len(run.split.ids("validation"))
    prediction = Classifier(model.path, "cpu").predict(next(synthetic_data.rglob("*.jpg")), age=55, site="back")
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.label in run.schema.classes


def test_progress_is_told_by_loggers(main_job):
    run, _, _, lines = main_job
    assert sum(line.startswith("epoch 1/1, loss ") for line in lines) == 1
    assert f"best weights in {run.weights_file}" in lines


def test_a_run_is_named_by_its_folder_too(main_job, tmp_path):
    run = main_job[0]
    model = dermedge.export(str(run.path), path=tmp_path / "mine.onnx", limits=LOOSE, explanations=False)
    assert model.path == tmp_path / "mine.onnx"
    assert Classifier(model.path, "cpu").spec.outputs == ("probabilities",)


def test_a_run_is_resumed_with_its_own_settings(main_job, caplog):
    run = main_job[0]
    caplog.set_level(logging.INFO, "dermedge")
    again = dermedge.resume(run, epochs=1, schema="ham10000")
    assert "resumed after epoch 1" in caplog.messages
    assert (again.path, again.config, again.weights_sha256) == (run.path, run.config, run.weights_sha256)
    with pytest.raises(UsageError, match=r"other settings: epochs 1 -> 3, schema HAM10000 -> pad_ufes_20\. Leave"):
        dermedge.resume(run.path, epochs=3, schema="pad_ufes_20")


def test_a_run_that_is_there_is_not_replaced(main_job):
    run = main_job[0]
    with pytest.raises(DermedgeError, match="holds a run already"):
        dermedge.train(run.config.data, run=run.path)


def test_an_unknown_name_is_refused_with_those_that_are_known(main_job, tmp_path):
    run = main_job[0]
    with pytest.raises(UsageError, match=r"There is no setting epoch; did you mean epochs\?"):
        dermedge.train("data", epoch=3, run=tmp_path / "run")
    with pytest.raises(UsageError, match=r"There is no setting lerning_rate; did you mean learning_rate\?"):
        dermedge.resume(run, lerning_rate=3)
    with pytest.raises(UsageError, match=r"Unknown fusion 'gate'.* Did you mean gated\?"):
        dermedge.train("data", fusion="gate", run=tmp_path / "run")
    with pytest.raises(
        UsageError, match=r"There is no precision 'int-8'; known are fp32, fp16, int8; did you mean int8\?"
    ):
        dermedge.export(run, "int-8")
    with pytest.raises(UsageError, match=r"There is no target 'gpu'; known are cpu, rtx\."):
        dermedge.export(run, "int8", target="gpu")
    with pytest.raises(
        UsageError, match=r"There is no part of the split 'tests'; known are test, validation; did you mean test\?"
    ):
        dermedge.evaluate(run, split="tests")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "fp16", "target": "rtx"}, "--target chooses between two kinds of INT8 file"),
        ({"precision": "fp16", "sensitivity": True}, "--sensitivity measures what INT8 changes"),
        ({"precision": "int8", "engine": EngineTarget()}, "uint8 activations, which TensorRT refuses"),
    ],
)
def test_options_that_contradict_the_precision_are_refused_before_anything_is_read(options, words, tmp_path):
    with pytest.raises(UsageError, match=words):
        dermedge.export(tmp_path / "no run", **options)


def test_a_place_without_a_run_is_one_sentence(tmp_path):
    for function in (dermedge.resume, dermedge.evaluate, dermedge.export):
        with pytest.raises(DermedgeError, match="There is no training run in"):
            function(tmp_path)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda run: dermedge.train(3), "data takes a path, got 3."),
        (lambda run: dermedge.train(""), "data takes a path, which must not be empty."),
        (lambda run: dermedge.train(b"data"), "data takes a path, got b'data'."),
        (lambda run: dermedge.train("data", run=5), "run takes a path, got 5."),
        (lambda run: dermedge.train("data", start_from=3), "start_from takes a run or its folder, got 3."),
        (lambda run: dermedge.train("data", config="x"), "config takes dermedge.TrainConfig, got 'x'. Single settings"),
        (lambda run: dermedge.resume(None), "run takes a run or its folder, got None."),
        (lambda run: dermedge.evaluate(3), "run takes a run or its folder, got 3."),
        (lambda run: dermedge.evaluate(run, models=3), "models takes a path, got 3."),
        (lambda run: dermedge.evaluate(run, device="gpu"), "There is no device 'gpu'; known are auto, rtx, cuda"),
        (lambda run: dermedge.export(None), "run takes a run or its folder, got None."),
        (lambda run: dermedge.export(run, data=3), "data takes a path, got 3."),
        (lambda run: dermedge.export(run, path=""), "path takes a path, which must not be empty."),
        (lambda run: dermedge.export(run, path="."), ". is a folder, and an export writes a file there"),
        (lambda run: dermedge.export(run, path=run.path), "is a folder, and an export writes a file there"),
        (lambda run: dermedge.export(run, path=run.config_file), "config.json is also an input"),
        (lambda run: dermedge.export(run, path=run.path / "config.onnx"), "config.json is also an input"),
        (lambda run: dermedge.export(run, limits={"agreement": 1}), "limits takes dermedge.Limits, got {'agreement'"),
        (lambda run: dermedge.export(run, engine="rtx4060"), "engine takes dermedge.EngineTarget, got 'rtx4060'."),
        (lambda run: dermedge.Limits("1", 0), "The limit agreement must be a number, got '1'."),
        (lambda run: dermedge.Limits(1, float("nan")), "The limit balanced_accuracy_drop must be a number, got nan."),
    ],
)
def test_what_a_parameter_cannot_be_is_refused_in_one_sentence(main_job, call, sentence):
    run = main_job[0]
    before = run.config_file.read_bytes()
    with pytest.raises(UsageError) as refused:
        call(run)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)
    assert run.config_file.read_bytes() == before


def test_a_place_where_no_run_can_be_is_refused_before_anything_is_written(synthetic_data, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "run" / "weights.safetensors").mkdir(parents=True)
    for place, words in (("file", "is a file"), ("file/run", "is a file"), ("run", "is a folder, and a training")):
        with pytest.raises(DermedgeError, match=words):
            dermedge.train(synthetic_data, run=tmp_path / place, **SMALL)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "run", "weights.safetensors"]


def test_the_data_folder_is_no_place_for_a_run(synthetic_data):
    before = sorted(synthetic_data.iterdir())
    with pytest.raises(UsageError, match="is the data folder, which is only read"):
        dermedge.train(synthetic_data, run=synthetic_data, **SMALL)
    assert sorted(synthetic_data.iterdir()) == before


def test_a_model_file_below_a_file_is_refused_before_the_work(main_job, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DermedgeError, match=r"is a file, so that the model file cannot go to .*Name another"):
        dermedge.export(main_job[0], path=tmp_path / "file" / "models" / "a.onnx")


def test_a_run_without_its_checkpoint_says_that_it_begins_again(main_job, tmp_path, caplog):
    shutil.copytree(main_job[0].path, tmp_path / "run")
    (tmp_path / "run" / "checkpoint.safetensors").unlink()
    caplog.set_level(logging.INFO, "dermedge")
    again = dermedge.resume(tmp_path / "run")
    assert f"no checkpoint in {again.path}: the training begins at its first epoch" in caplog.messages
    assert again.weights_file.read_bytes() == main_job[0].weights_file.read_bytes()


def test_two_trainings_never_write_to_one_run(main_job, synthetic_data, tmp_path):
    run = main_job[0]
    for folder in (run.path, tmp_path):
        lock = folder / ".training.lock"
        with lock.open("wb") as held:
            assert try_lock(held.fileno())
            with pytest.raises(DermedgeError, match=r"Another training is writing to .* Wait for its end"):
                dermedge.resume(run) if folder == run.path else dermedge.train(synthetic_data, run=folder, **SMALL)
        assert dermedge.resume(run).config == run.config, "a lock that nobody holds is no lock"
    assert not (run.path / ".training.lock").exists() and [path.name for path in tmp_path.iterdir()] == [lock.name]


def test_settings_come_from_names_or_from_other_settings_or_both():
    machine = {"device": "cuda", "precision": "bf16"} if torch.cuda.is_available() else {}
    assert settings_of(None, "d", {}) == replace(TrainConfig(data=str(Path("d").resolve())), **machine)
    base = TrainConfig(data="/d", fusion="gated", epochs=7)
    assert settings_of(base, None, {}) == base
    assert settings_of(base, None, {"epochs": 3, "noise": 0.5}).differences(base)[0] == "epochs 7 -> 3"
    asked = AskedSettings.of(Path("/d"), {"epochs": 5, "device": "cpu", "precision": "fp32"})
    assert settings_of(asked, None, {"seed": 2}) == TrainConfig(data="/d", epochs=5, seed=2)


def test_an_image_branch_needs_a_fusion_that_reads_pictures():
    with pytest.raises(UsageError, match="reads the picture, and clinical_only reads none"):
        settings_of(None, None, {"fusion": "clinical_only", "image_branch": "resnet18"})
    with pytest.raises(UsageError, match="no_such"):
        settings_of(None, None, {"fusion": "no_such", "image_branch": "resnet18"})


def test_views_of_features_need_a_frozen_image_branch():
    assert settings_of(None, None, {"freeze_image_branch": True}).feature_views == 8
    for base, named in ((None, {"feature_views": 3}), (AskedSettings.of(None, {"feature_views": 3}), {})):
        with pytest.raises(UsageError, match="--feature-views is for --freeze-image-branch"):
            settings_of(base, None, named)


def test_settings_of_a_run_that_started_from_weights_need_their_run():
    with pytest.raises(UsageError, match="name that run with start_from"):
        settings_of(TrainConfig(data="/d", start_from="0" * 64), None, {})


def test_expected_settings_are_given_once():
    asked = AskedSettings.of(None, {"epochs": 3})
    assert expected_settings(asked, None, {}) is asked
    assert expected_settings(None, None, {"epochs": 3}) == asked
    with pytest.raises(UsageError, match="not both"):
        expected_settings(asked, None, {"epochs": 3})


def test_files_are_named_by_fusion_and_precision():
    assert PRECISIONS == pipeline.PRECISIONS
    assert [file_name("gated", precision, "rtx") for precision in PRECISIONS] == [
        "gated-fp32.onnx", "gated-fp16.onnx", "gated-int8-rtx.onnx",
    ]  # fmt: skip
    assert file_name("gated", "int8", any_size=True) == "gated-int8-any-size.onnx"
    names = [run_name(branch, "gated") for branch in ("dermiresnet", "efficientnet_lite0", "timm:convnext_atto")]
    assert names == ["gated", "efficientnet_lite0-gated", "timm-convnext_atto-gated"]


def test_every_public_name_is_there_and_documented():
    assert set(dermedge.__all__) <= set(dir(dermedge))
    for name in dermedge.__all__:
        assert getattr(dermedge, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'trian'") as caught:
        _ = dermedge.trian  # type: ignore[attr-defined]
    assert (caught.value.name, caught.value.obj) == ("trian", dermedge), "of which Python makes a hint"


def test_the_functions_are_there_without_the_packages_that_do_the_work():
    code = """
import sys
import dermedge
dermedge.train, dermedge.resume, dermedge.evaluate, dermedge.export
heavy = {"torch", "numpy", "onnx", "onnxruntime", "pandas", "sklearn", "matplotlib", "pydantic", "PIL"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
from dermedge_runtime.errors import DermedgeError
for call in (lambda: dermedge.train("data"), lambda: dermedge.export("runs/gated")):
    try:
        call()
    except DermedgeError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    train, export = done.stdout.splitlines()
    assert "torch" in train and "pip install 'dermedge[train" in train
    assert "torch" in export and "pip install 'dermedge[export" in export


def test_runs_of_other_seeds_share_a_split_where_it_has_a_seed_of_its_own(tmp_path):
    data = tmp_path / "data"
    (data / "HAM10000_images_part_1").mkdir(parents=True)
    rows = ["lesion_id,image_id,dx,dx_type,age,sex,localization"]
    for number in range(70):
        rows.append(f"L{number},I{number},{HAM10000.classes[number % 7]},histo,{number},male,back")
        Image.new("RGB", (8, 8 + number)).save(data / "HAM10000_images_part_1" / f"I{number}.jpg")
    (data / "HAM10000_metadata.csv").write_text("\n".join(rows))
    settings = {**SMALL, "fusion": "clinical_only"}
    splits = [
        dermedge.train(data, run=tmp_path / name, **settings, **seeds).split.sha256
        for name, seeds in (("a", {}), ("b", {"seed": 1}), ("c", {"seed": 1, "split_seed": 0}))
    ]
    assert splits[0] == splits[2] != splits[1]
