"""Trainings on embeddings that somebody else has computed: the whole way of such a run, and all that it cannot do."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

import dermedge
from dermedge.data.batches import lesion_data
from dermedge.data.given_embeddings import read_embeddings
from dermedge.data.ham10000 import read_samples
from dermedge.evaluation.comparison.given_trunk import GivenTrunk
from dermedge.training.run import Run
from dermedge.training.train import Trainer
from dermedge.training.training_job import shift_priors
from dermedge_runtime.errors import InputRejected, UsageError

SIZE = 6
SMALL = {"epochs": 2, "per_class": 4, "batch_size": 14, "device": "cpu", "learning_rate": 0.01}


@pytest.fixture(scope="module")
def table(synthetic_data) -> pd.DataFrame:
    """A row for every picture, and one more; the first numbers tell the class."""
    samples, rng = read_samples(synthetic_data), np.random.default_rng(0)
    values = rng.normal(size=(len(samples) + 1, SIZE)).astype(np.float32)
    values[np.arange(len(samples)), [sample.label % SIZE for sample in samples]] += 3
    names = [sample.image_id for sample in samples]
    return pd.DataFrame({"image": [*names, "another"], **{f"e{k}": values[:, k] for k in range(SIZE)}})


@pytest.fixture(scope="module")
def file(table, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("given") / "e.npz"
    values = table.drop(columns="image").to_numpy(np.float32)
    np.savez(path, image=table["image"].to_numpy(np.str_), embedding=values)
    return path


@pytest.fixture(scope="module")
def run(synthetic_data, file, tmp_path_factory) -> Run:
    """A finished run. Read only."""
    folder = tmp_path_factory.mktemp("runs") / "r"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lesion_data, "load_pixels", lambda *_: pytest.fail("no picture is to be opened"))
        return dermedge.train(synthetic_data, run=folder, fusion="concat", embeddings=file, **SMALL)


def test_the_run_says_what_it_reads(run, file):
    assert run.record["embeddings"] == {
        "path": str(file.resolve()),
        "sha256": read_embeddings(file).sha256,
        "size": SIZE,
    }
    settings = run.record["settings"]
    assert settings["image_branch"] == "embeddings"
    assert settings["augmentation"]["flips"] is False and settings["augmentation"]["noise"] == 0
    weights = load_file(run.weights_file)
    assert weights["head.image.0.weight"].shape == (512, SIZE)
    assert {name.split(".")[0] for name in weights} == {"encoder", "head"}


def test_it_is_evaluated_on_both_parts_without_a_model_file(run, tmp_path):
    with run.history_file.open(newline="") as stream:
        best = [row for row in csv.DictReader(stream) if row["best"] == "True"][-1]
    for part in ("test", "validation"):
        found = dermedge.evaluate(run, split=part, without_values=True, models=tmp_path)
        ((name, scores),) = found.results.items()
        assert name == "trained weights (torch)" and "no value" in scores["unknown_values"]
        assert found.to_text().startswith(f"{name}, {part} split") and run.predictions_file.is_file()
    assert scores["accuracy"] == pytest.approx(float(best["validation_accuracy"]))
    with pytest.raises(UsageError, match="cannot be flipped: leave --flips out"):
        dermedge.evaluate(run, flips=True)


def test_it_learns_from_the_embeddings(synthetic_data, file, tmp_path):
    settings = {**SMALL, "epochs": 6, "select_features": 0.9, "mixup": 0.1, "align": 0.1}
    run = dermedge.train(synthetic_data, run=tmp_path / "r", fusion="late", embeddings=file, **settings)
    found = dermedge.evaluate(run, models=tmp_path)
    assert found.results["trained weights (torch)"]["accuracy"] > 0.5, "of seven classes; two look alike"
    assert shift_priors(run.path, "auto")["chosen_on"] == "validation"


def test_resumed_it_ends_as_never_interrupted(run, synthetic_data, file, tmp_path, monkeypatch):
    folder, whole = tmp_path / "r", Trainer.run_epoch

    def first_only(trainer, epoch):
        return whole(trainer, epoch) if epoch < 1 else pytest.fail("interrupted")

    monkeypatch.setattr(Trainer, "run_epoch", first_only)
    with pytest.raises(pytest.fail.Exception, match="interrupted"):
        dermedge.train(synthetic_data, run=folder, fusion="concat", embeddings=file, **SMALL)
    monkeypatch.setattr(Trainer, "run_epoch", whole)
    resumed = dermedge.resume(folder, embeddings=file)
    assert resumed.weights_file.read_bytes() == run.weights_file.read_bytes()
    other = tmp_path / "other.npz"
    other.write_bytes(b"other")
    with pytest.raises(UsageError, match=r"other settings: embeddings .*e\.npz -> .*other\.npz"):
        dermedge.resume(folder, embeddings=other)


def test_a_run_of_pictures_does_not_go_on_with_embeddings(trained_run, file):
    with pytest.raises(UsageError, match=r"other settings: embeddings none -> .*e\.npz"):
        dermedge.resume(trained_run.path, embeddings=file)


@pytest.mark.parametrize(("change", "words"), [("gone", "Put the file back"), ("other", "were changed since the run")])
def test_a_file_that_is_gone_or_changed_is_refused(synthetic_data, file, tmp_path, change, words):
    own = Path(shutil.copy(file, tmp_path / "own.npz"))
    run = dermedge.train(synthetic_data, run=tmp_path / "r", fusion="concat", embeddings=own, **{**SMALL, "epochs": 1})
    own.unlink() if change == "gone" else own.write_bytes(own.read_bytes() + b" ")
    for use in (dermedge.resume, dermedge.evaluate, lambda path: shift_priors(path, "auto")):
        with pytest.raises(InputRejected, match=words) as refused:
            use(run.path)
        assert "own.npz" in str(refused.value)


def test_nothing_that_reads_pictures_is_made_of_it(run, trained_run, synthetic_data, tmp_path):
    asked = {"run": tmp_path / "new", **SMALL, "image_size": 32}
    uses = {
        "export": lambda: dermedge.export(run, models=tmp_path),
        "ensemble": lambda: dermedge.ensemble([trained_run, run], run=tmp_path / "new"),
        "teacher": lambda: dermedge.train(synthetic_data, teachers=run, **asked),
        "start": lambda: dermedge.train(synthetic_data, start_from=run, **asked),
        "prune": lambda: dermedge.train(synthetic_data, start_from=run, prune=0.3, **asked),
        "shared trunk": lambda: GivenTrunk.open(run.path),
        "by name": lambda: dermedge.train(synthetic_data, image_branch="embeddings", **asked),
    }
    for name, use in uses.items():
        with pytest.raises(UsageError, match=r"has no image branch: it cannot make embeddings .*--freeze-image-branch"):
            use()
            pytest.fail(name)
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_of_frozen_features_takes_them(synthetic_data, file, tmp_path):
    asked = {"run": tmp_path / "r", "embeddings": file, **SMALL}
    run = dermedge.train(synthetic_data, recipe="restrepo2024", **{**asked, "epochs": 1})
    assert run.record["recipe"]["name"] == "restrepo2024" and run.config.fusion == "late"
    assert run.config.on_embeddings and not run.config.freeze_image_branch and not run.start_file.exists()
    with pytest.raises(UsageError, match="The recipe ou2022 trains a network on pictures"):
        dermedge.train(synthetic_data, recipe="ou2022", **{**asked, "run": tmp_path / "s"})


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"image_branch": "resnet18"}, "--image-branch is about pictures"),
        ({"image_size": 256}, "--image-size is about pictures"),
        ({"freeze_image_branch": True}, "--freeze-image-branch is about pictures"),
        ({"cutmix": 0.5}, "--cutmix is about pictures"),
        ({"quantise_aware": True}, "--quantise-aware is about pictures"),
        ({"hair_removal": True}, "--hair-removal is about pictures"),
        ({"rotation": 10.0}, "--rotation is about pictures"),
        ({"config": dermedge.TrainConfig(data="", attention="soft")}, "--attention is about pictures"),
        ({"pretrained": True}, "--pretrained is about pictures"),
        ({"teachers": "r"}, "--teacher is about pictures"),
        ({"start_from": "r", "prune": 0.3}, "--start-from is about pictures"),
        ({"fusion": "clinical_only"}, "clinical_only reads none"),
        ({"compiled": True}, "leave torchrun and --compile out"),
    ],
    ids=str,
)
def test_what_needs_pictures_is_refused_before_anything_is_written(synthetic_data, file, tmp_path, given, option):
    with pytest.raises(UsageError, match=option):
        dermedge.train(synthetic_data, embeddings=file, run=tmp_path / "r", **given)
    assert not (tmp_path / "r").exists()


def test_settings_of_such_a_run_begin_another(run, synthetic_data, file, tmp_path):
    again = dermedge.train(config=run.config, run=tmp_path / "r", embeddings=file)
    assert again.weights_file.read_bytes() == run.weights_file.read_bytes()


def test_the_test_pictures_need_embeddings_too(run, table, synthetic_data, tmp_path):
    missing = run.split.ids("test")[:4]
    table[~table["image"].isin(missing)].to_csv(tmp_path / "e.csv", index=False)
    with pytest.raises(
        InputRejected, match=rf"^4 of 42 pictures have no embedding in .*e\.csv: {', '.join(missing[:3])}"
    ):
        dermedge.train(synthetic_data, embeddings=tmp_path / "e.csv", run=tmp_path / "r", **SMALL)
    assert not (tmp_path / "r").exists()
