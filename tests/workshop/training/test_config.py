import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
import torch

from dermedge.config import TrainConfig
from dermedge.data.batches.augment import Augmentation
from dermedge.training.train import settings_from_options, versions

UNUSUAL = TrainConfig(
    data="/somewhere", fusion="image_only", protocol="paper", image_size=64, resample="lanczos", epochs=7,
    batch_size=5, learning_rate=1 / 3, weight_decay=1e-7, per_class=11, balance=0.25, hide_clinical=0.125,
    unknown="impute", mixup=0.2,
    cutmix=0.5, class_weights=0.5, focal=2.0, hair_removal=True, colour_constancy=True,
    label_smoothing=0.1, logit_adjustment=1.0,
    dropout=0.0, schedule="cosine", ema=0.9999, precision="bf16", start_from="0" * 64, device="cuda", seed=42,
    freeze_image_branch=True, feature_views=3,
    augmentation=Augmentation(flips=False, rotation_degrees=1.5, scaling=0.0, noise=0.1, colour=0.3),
)  # fmt: skip


def test_the_defaults_are_the_papers_settings():
    config = TrainConfig(data="d")
    assert (config.image_size, config.epochs, config.batch_size) == (256, 100, 64)
    assert (config.learning_rate, config.per_class, config.balance, config.dropout) == (0.001, 6000, 1.0, 0.2)
    assert (config.schedule, config.ema, config.weight_decay, config.hide_clinical, config.mixup) == (
        ("constant", 0, 0, 0, 0)
    )
    assert (config.fusion, config.protocol) == ("cross_attention", "grouped")


@pytest.mark.parametrize("config", [TrainConfig(data=""), UNUSUAL])
def test_settings_survive_json(config):
    assert TrainConfig.from_record(json.loads(json.dumps(config.to_record()))) == config


def test_every_setting_of_the_unusual_run_differs_from_the_default():
    default = TrainConfig(data="")
    names = [line.split()[0] for line in UNUSUAL.differences(default)]
    assert names == list(default.to_record()), "add a new setting to UNUSUAL, so that its round trip is tested"


def test_differences_read_from_the_other_to_this():
    default = TrainConfig(data="")
    assert default.differences(default) == []
    assert replace(default, epochs=30, seed=2).differences(default) == ["epochs 100 -> 30", "seed 0 -> 2"]
    (line,) = replace(default, augmentation=Augmentation(noise=0.5)).differences(default)
    assert line.startswith("augmentation ") and "'noise': 0.02" in line and "'noise': 0.5" in line


def test_settings_cannot_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        UNUSUAL.epochs = 3


@pytest.mark.parametrize("cuda", [True, False])
def test_auto_means_bf16_on_a_gpu_and_fp32_on_a_cpu(monkeypatch, cuda):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    config = settings_from_options({"device": "auto", "precision": "auto"})
    assert (config.device, config.precision) == (("cuda", "bf16") if cuda else ("cpu", "fp32"))


def test_auto_precision_follows_the_device_that_was_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert settings_from_options({"device": "cpu", "precision": "auto"}).precision == "fp32"
    assert settings_from_options({"device": "auto", "precision": "fp16"}).precision == "fp16"


def test_options_become_settings_and_the_rest_stays_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"data": Path("ham"), "epochs": 3, "flips": False, "rotation": 5.0, "scaling": 0.1, "noise": 0.0}
    config = settings_from_options({**options, "colour": 0.2, "ema": 0.9})
    assert Path(config.data) == tmp_path / "ham", "absolute, so that a resumed run finds it from anywhere"
    assert config.augmentation == Augmentation(flips=False, rotation_degrees=5.0, scaling=0.1, noise=0.0, colour=0.2)
    assert replace(config, data="", epochs=100, ema=0.0, augmentation=Augmentation()) == TrainConfig(data="")


def test_no_data_option_is_an_empty_folder_name():
    assert settings_from_options({"data": None}).data == ""


def test_a_resumed_run_keeps_every_setting_that_is_not_given():
    assert settings_from_options({}, UNUSUAL) == UNUSUAL
    assert settings_from_options({"epochs": 9, "noise": 0.0}, UNUSUAL).differences(UNUSUAL)[0] == "epochs 7 -> 9"
    assert settings_from_options({"noise": 0.0}, UNUSUAL).augmentation == replace(UNUSUAL.augmentation, noise=0.0)
    assert UNUSUAL.augmentation.noise == 0.1


def test_versions_name_what_a_result_depends_on():
    assert set(versions()) == {"dermedge", "torch", "numpy"}
    assert versions()["torch"] == torch.__version__
