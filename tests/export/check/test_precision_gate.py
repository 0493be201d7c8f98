"""An export whose precision spoils a layer: refused as it is, published with exactly that layer in float32."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from quarter_branch import quarter_widths
from torch import nn

from dermedge.data.ham10000 import read_samples
from dermedge.training.checkpoint import save_weights
from dermedge.training.predictions import runtime_probabilities, torch_probabilities, trained_model
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.train import start_run
from dermedge.training.trained_part import build_model
from dermedge_export import conversion
from dermedge_export.check.parity import Limits, ParityError
from dermedge_export.description import describe
from dermedge_export.int8.calibration import SMALLEST_CALIBRATION, model_inputs
from dermedge_export.pipeline import build_graph, export_model
from dermedge_runtime import Classifier
from dermedge_runtime.errors import InputRejected
from dermedge_runtime.model.model_file import read_model_file

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("traced_once")]

LIMITS = Limits(agreement=0.7, balanced_accuracy_drop=1)  # of seven pictures, five; the spoilt file agrees on none


@pytest.fixture
def decided_run(trained_run, synthetic_data: Path, tmp_path: Path) -> Run:
    """A run whose random image branch really moves its decisions, unlike that of two epochs of training.

    It is narrow, because its layers are quantised one at a time.
    """
    encoder = trained_model(trained_run).encoder
    config = replace(trained_run.config, widths=quarter_widths())
    run = start_run(config, trained_run.split, RunFolder(tmp_path / "run"))
    torch.manual_seed(0)
    model = build_model(run.config, run.schema)
    model.encoder.load_state_dict(encoder.state_dict())
    save_weights(run.weights_file, model.state_dict())
    samples = run.split.select(read_samples(synthetic_data), "train")
    inputs = {name: torch.from_numpy(v) for name, v in model_inputs(samples, describe(run, "fp32")).items()}
    with torch.no_grad():
        for module in model.trunk.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
                nn.init.normal_(module.bias, std=0.1)
        read = (inputs["image"].permute(0, 3, 1, 2).float() / 255, inputs["numeric"], inputs["categorical"])
        model.train()(*read)  # settles the normalisation
        last = model.eval().head.classifier[-1]
        last.weight.mul_(30)
        last.bias.sub_(model(*read).mean(dim=0))
    save_weights(run.weights_file, model.state_dict())
    return run


def _blow_up_unread_weights(run: Run) -> None:
    """Nothing in float32, but the weights of stages.2.conv2 lose INT8's whole range to a silent channel."""
    model = trained_model(run)
    block = model.trunk.stages[2]
    with torch.no_grad():
        block.conv1.weight[0] = 0
        block.conv1.bias[0] = 0
        block.conv2.weight[:, 0] = 100
    save_weights(run.weights_file, model.state_dict())


def test_the_gate_refuses_the_spoilt_file_and_takes_it_with_the_layer_in_float32(
    decided_run, synthetic_data: Path, tmp_path: Path, monkeypatch, caplog
) -> None:
    _blow_up_unread_weights(decided_run)
    samples, target = read_samples(synthetic_data), tmp_path / "models" / "m.onnx"
    with monkeypatch.context() as patch:
        patch.setattr(conversion, "rank_layers", lambda *given: [])  # no layer to keep: there is one attempt
        with pytest.raises(ParityError, match="class agreement is"):
            export_model(decided_run, samples, "int8", target, limits=LIMITS)
    assert list(target.parent.iterdir()) == []
    caplog.set_level(logging.INFO, "dermedge_export")
    report = export_model(decided_run, samples, "int8", target, limits=LIMITS)
    assert report.conversion["float32_layers"] == ["stages.2.conv2"]
    assert "keep stages.2.conv2 in float32" in caplog.messages
    spec = read_model_file(target).spec
    assert spec.conversion == report.conversion
    assert spec.conversion["sensitivity"]["layers"][0]["layer"] == "stages.2.conv2"
    assert len(spec.conversion["sensitivity"]["layers"]) == 17
    assert spec.parity["agreement"] >= LIMITS.agreement


@pytest.mark.exhaustive
def test_an_attempt_never_keeps_more_than_half_of_the_layers(
    decided_run, synthetic_data: Path, tmp_path: Path, caplog
) -> None:
    caplog.set_level(logging.INFO, "dermedge_export")
    told = r"m\.onnx was not written: .* the limit is 110\.00% .* --start-from .*run --quantise-aware"
    with pytest.raises(ParityError, match=told):
        export_model(
            decided_run,
            read_samples(synthetic_data),
            "int8",
            tmp_path / "m.onnx",
            explain=False,
            limits=Limits(1.1, 1),
        )
    attempts = [line.count(",") + 1 for line in caplog.messages if line.startswith("keep ")]
    assert attempts == [1, 2, 4, 8]
    assert not (tmp_path / "m.onnx").exists()


def test_sensitivity_on_demand_even_where_the_file_passes(decided_run, synthetic_data: Path, tmp_path: Path) -> None:
    report = export_model(
        decided_run,
        read_samples(synthetic_data),
        "int8",
        tmp_path / "m.onnx",
        explain=False,
        limits=Limits(0, 1),
        sensitivity=True,
    )
    assert report.conversion["float32_layers"] == []
    training = len(decided_run.split.ids("train"))
    assert report.conversion["sensitivity"]["images"] == report.conversion["calibration"]["images"] == training


def test_a_published_fp16_file_keeps_the_layer_that_overflows(
    decided_run, synthetic_data: Path, tmp_path: Path
) -> None:
    model = trained_model(decided_run)
    block = model.trunk.stages[4]
    with torch.no_grad():
        block.conv1.weight.mul_(1e8)
        block.conv1.bias.mul_(1e8)
        block.conv2.weight.div_(1e8)
    save_weights(decided_run.weights_file, model.state_dict())
    samples = read_samples(synthetic_data)
    report = export_model(decided_run, samples, "fp16", tmp_path / "m.onnx", explain=False, limits=LIMITS)
    assert list(report.conversion["float32_layers"]) == ["stages.4.conv1", "stages.4.conv2"]
    validation = decided_run.split.select(samples, "validation")
    found = runtime_probabilities(Classifier(tmp_path / "m.onnx", "cpu"), validation)
    np.testing.assert_allclose(found, torch_probabilities(decided_run, validation), atol=0.02)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_calibration_takes_photographs_of_the_training_split_only(
    trained_run, synthetic_data: Path, precision: str
) -> None:
    split = trained_run.split
    spec, samples = describe(trained_run, precision), read_samples(synthetic_data)
    training = split.select(samples, "train")
    with pytest.raises(InputRejected, match=f"at least {SMALLEST_CALIBRATION} training photographs, there are 0"):
        build_graph(trained_run, spec, [])
    with pytest.raises(InputRejected, match=f"there are {SMALLEST_CALIBRATION - 1}"):
        build_graph(trained_run, spec, training[: SMALLEST_CALIBRATION - 1])
    foreign = split.select(samples, "validation")[:1]
    with pytest.raises(InputRejected, match=f"1 of the 17 given ones are not in .* {foreign[0].image_id}"):
        build_graph(trained_run, spec, [*training[:16], *foreign])
