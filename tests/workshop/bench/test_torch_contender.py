"""The trained weights in torch beside model files, of any image branch: which runs are found, and what they answer."""

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dermedge.bench.bench import _find_runs, patient_of
from dermedge.bench.torch_contender import EagerModel, runs_of
from dermedge.config import TrainConfig
from dermedge.data.ham10000 import HAM10000, read_samples
from dermedge.data.splits import make_split
from dermedge.training.checkpoint import save_weights
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.run_names import run_name
from dermedge.training.train import start_run
from dermedge.training.trained_part import build_model
from dermedge_export.pipeline import write_unmeasured
from dermedge_runtime import Classifier
from dermedge_runtime.errors import UsageError

pytestmark = pytest.mark.slow  # two exports

BRANCH = "timm:test_resnet"  # the quickest to trace of those that the libraries bring


@pytest.fixture(scope="module")
def of_two_branches(synthetic_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[Run, Path]]:
    """Folder of two runs that never learned, one of them reads no picture, and a model file of each."""
    runs, samples = tmp_path_factory.mktemp("runs"), read_samples(synthetic_data)
    models = {}
    for fusion in ("concat", "clinical_only"):
        config = TrainConfig(data="", fusion=fusion, image_branch=BRANCH, image_size=32)
        folder = RunFolder(runs / run_name(config.image_branch, fusion))
        run = start_run(config, make_split(samples, config.protocol, config.seed), folder)
        torch.manual_seed(0)
        save_weights(run.weights_file, build_model(config, HAM10000).state_dict())
        models[run] = runs / f"{run.path.name}-fp32.onnx"
        write_unmeasured(run, models[run], explain=False)
    return runs, models


def test_every_file_meets_its_own_weights(of_two_branches, synthetic_data):
    runs, models = of_two_branches
    found, absent = runs_of(list(models.values()), None, runs)
    assert [run.path.name for run in found] == ["timm-test_resnet-clinical_only", "timm-test_resnet-concat"]
    assert absent == []
    picture = next(synthetic_data.rglob("*.jpg"))
    for run, path in models.items():
        model, classifier = EagerModel(run), Classifier(path, "cpu")
        patient = patient_of(classifier.spec)
        shipped = classifier.predict(picture if classifier.spec.image else None, **patient).probabilities
        expected = [shipped[code] for code in model.spec.classes]
        np.testing.assert_allclose(model.predict(picture, patient), expected, atol=1e-4)


def test_a_run_of_a_branch_that_cannot_be_made_is_left_out_unless_it_was_named(of_two_branches, tmp_path):
    _, models = of_two_branches
    (small, path), _ = models.items()
    broken = Run.open(shutil.copytree(small.path, tmp_path / "runs" / "broken"))
    record = json.loads(broken.config_file.read_text(encoding="utf-8"))
    record["settings"]["image_branch"] = "efficientnet_lite7"
    broken.config_file.write_text(json.dumps(record), encoding="utf-8")
    found, absent = runs_of([path], None, tmp_path / "runs")
    assert found == [] and len(absent) == 1
    assert absent[0].startswith(f"{broken.path}: There is no image branch 'efficientnet_lite7'")
    with pytest.raises(UsageError, match="no image branch"):
        EagerModel(runs_of([path], broken.path, tmp_path)[0][0])


def test_contenders_of_several_runs_have_names_of_their_own(of_two_branches, tmp_path, caplog):
    runs, models = of_two_branches
    (small, path), (clinical, _) = models.items()
    found = _find_runs(list(models.values()), None, runs)
    names = {f"torch eager, {run.path.name}": run.path for run in (clinical, small)}
    assert {name: run.path for name, run in found.items()} == names
    assert list(_find_runs([path], None, runs)) == list(_find_runs([path], small.path, tmp_path)) == ["torch eager"]
    caplog.set_level(logging.INFO, "dermedge")
    assert _find_runs([path], None, tmp_path) == {} and "no run below" in caplog.text
