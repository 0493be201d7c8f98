import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict, fields, replace
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from dermedge.asked_settings import AskedSettings
from dermedge.config import Augmentation, RequestedSettings, TrainConfig
from dermedge.setting_fields import settings_of
from dermedge.training.chosen_settings import changed_settings, chosen_settings
from dermedge.training.run import Run
from dermedge.training.train import versions
from dermedge_runtime.errors import DermedgeError, UsageError
from dermedge_runtime.inputs.clinical import UNKNOWN_MODES
from dermedge_runtime.inputs.image import RESAMPLING

UNUSUAL = TrainConfig(
    data="/somewhere", fusion="image_only", protocol="paper", image_branch="efficientnet_lite0",
    receptive_fields="several", attention="soft", pooling="gem", select_features=0.5, texture_patterns=True,
    image_size=64,
    start_size=32, resample="lanczos", jpeg_detail=1, epochs=7,
    batch_size=5, learning_rate=1 / 3, image_branch_rate=0.5, weight_decay=1e-7, per_class=11, balance=0.25,
    hide_clinical=0.125, hide_patient=0.3,
    unknown="impute", mixup=0.2,
    cutmix=0.5, class_weights=0.5, focal=2.0, hair_removal=True, colour_constancy=True,
    light_estimate="max_rgb", contrast=True,
    label_smoothing=0.1, logit_adjustment=1.0, prior_shift="auto",
    dropout=0.0, schedule="cosine", ema=0.9999, precision="bf16", start_from="0" * 64, device="cuda", seed=42,
    split_seed=7, freeze_image_branch=True, feature_views=3, quantise_aware=True, prune=0.3, widths={"conv1": [3, 40]},
    temperature=4.0, teacher_weight=1.0, teachers=["1" * 64], align=0.5,
    look_inside=0.5, synthetic="2" * 64,
    augmentation=Augmentation(flips=False, rotation_degrees=1.5, scaling=0.0, noise=0.1, colour=0.3,
                              random_erasing=0.25, trivial_augment=True),
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


# As an earlier version wrote it: whole numbers where a share is meant, and no choice about unknown values yet.
EARLIER = """{"data": "/d", "fusion": "gated", "protocol": "grouped", "image_size": 128, "resample": "bilinear",
"hair_removal": false, "colour_constancy": false, "epochs": 30, "batch_size": 64, "learning_rate": 0.001,
"weight_decay": 0, "per_class": 600, "balance": 1, "hide_clinical": 0, "mixup": 0, "cutmix": 0, "class_weights": 0,
"focal": 0, "label_smoothing": 0, "logit_adjustment": 0, "dropout": 0.2, "schedule": "cosine", "ema": 0,
"precision": "bf16", "start_from": "", "freeze_image_branch": false, "feature_views": 0, "device": "cuda", "seed": 3,
"augmentation": {"flips": true, "rotation_degrees": 180, "scaling": 0.2, "noise": 0.02, "colour": 0}}"""


def test_the_split_has_the_seed_of_the_training_or_its_own():
    assert TrainConfig("d", seed=3).seed_of_split == 3
    config = TrainConfig("d", seed=3, split_seed=0)
    assert config.seed_of_split == 0
    assert TrainConfig.from_record(json.loads(json.dumps(config.to_record()))) == config


def test_the_record_of_an_earlier_version_opens():
    config = TrainConfig.from_record(json.loads(EARLIER))
    assert (config.unknown, config.epochs, config.balance, config.augmentation) == ("impute", 30, 1, Augmentation())
    later = {"unknown": "impute", "image_branch": "dermiresnet", "image_branch_rate": 1, "hide_patient": 0}
    later |= {"quantise_aware": False, "prune": 0, "widths": {}, "prior_shift": 0, "jpeg_detail": 2}
    later |= {"select_features": 0, "receptive_fields": "one", "attention": "none", "pooling": "average"}
    later |= {"contrast": False, "texture_patterns": False}
    later |= {"light_estimate": "shades_of_gray"}
    later |= {"temperature": 2, "teacher_weight": 0.5, "teachers": [], "start_size": 0, "split_seed": "seed"}
    later |= {"align": 0, "look_inside": 0, "synthetic": ""}
    read = json.loads(EARLIER)
    read["augmentation"] |= {"random_erasing": 0, "trivial_augment": False}
    assert config.to_record() == {**later, **read}, "a run that goes on writes what it read"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epoch": 3}, "there is no setting epoch; did you mean epochs?"),
        ({"augmentation": {"nose": 0.1}}, "there is no setting nose; did you mean noise?"),
        ({"epochs": "3"}, "the setting epochs is '3'; it must be a whole number from 1 up"),
        ({"epochs": True}, "the setting epochs is True; it must be a whole number from 1 up"),
        ({"device": "auto"}, "the setting device is 'auto'; it must be cpu or cuda"),
        ({"dropout": 1.0}, "the setting dropout is 1.0; it must be a number from 0 to below 1"),
        ({"learning_rate": float("inf")}, "the setting learning_rate is inf; it must be a number above 0"),
        ({"hair_removal": 1}, "the setting hair_removal is 1; it must be true or false"),
        ({"augmentation": {"noise": 2}}, "the setting noise is 2; it must be a number from 0 to 1"),
    ],
    ids=str,
)
def test_a_record_that_does_not_fit_is_refused_in_one_sentence(change, sentence):
    with pytest.raises(ValueError) as refused:
        TrainConfig.from_record({**TrainConfig("d").to_record(), **change})
    assert str(refused.value) == sentence


def test_a_settings_file_that_does_not_fit_is_named_with_its_key(tmp_path):
    record = {"settings": {**TrainConfig("d").to_record(), "epoch": 3}, "split_sha256": ""}
    (tmp_path / "config.json").write_text(json.dumps(record))
    with pytest.raises(DermedgeError) as refused:
        Run.open(tmp_path)
    for word in (str(tmp_path / "config.json"), "there is no setting epoch; did you mean epochs?"):
        assert word in str(refused.value)


def test_a_record_without_data_is_refused():
    record = TrainConfig("d").to_record()
    del record["data"]
    with pytest.raises(ValueError, match="the setting data is missing"):
        TrainConfig.from_record(record)


def test_no_copy_escapes_the_check():
    with pytest.raises(ValidationError):
        replace(UNUSUAL, epochs=0)


def test_every_setting_says_what_it_is_for_what_it_accepts_and_how_it_is_called():
    settings = settings_of(RequestedSettings)
    names = [setting.name for setting in settings]
    strengths = [f"augmentation.{each.name}" for each in fields(Augmentation)]
    plain = [
        each.name
        for each in fields(TrainConfig)
        if each.name not in ("data", "augmentation", "start_from", "teachers", "synthetic", "widths")
    ]
    assert sorted(names) == sorted(plain + strengths)
    for setting in settings:
        assert setting.help.endswith("."), setting.name
        # A number without any limit would be a mistake; so would a default that is refused.
        assert setting.range or setting.kind in (bool, str), setting.name
        assert setting.parse(str(setting.default).lower()) == setting.default, setting.name
    assert len({setting.option for setting in settings}) == len(settings)


def test_words_are_the_runtimes_where_it_must_know_them():
    choices = {setting.name: setting.choices for setting in settings_of(RequestedSettings)}
    assert set(choices["unknown"]) == set(UNKNOWN_MODES)
    assert set(choices["resample"]) == set(RESAMPLING)


def test_a_run_is_trained_with_what_is_asked_for_unless_that_is_left_open():
    request = RequestedSettings("d", device="cpu", precision="fp32")
    usual = TrainConfig("d")
    assert chosen_settings(request) == usual
    assert replace(usual, feature_views=8).differences(usual) == ["feature_views 0 -> 8"]
    frozen = chosen_settings(replace(request, freeze_image_branch=True))
    assert frozen.feature_views == 8, "of no meaning without a frozen image branch, 8 with one"


@pytest.mark.parametrize("cuda", [True, False])
def test_auto_means_bf16_on_a_gpu_and_fp32_on_a_cpu(monkeypatch, cuda):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    config = chosen_settings(RequestedSettings("d"))
    assert (config.device, config.precision) == (("cuda", "bf16") if cuda else ("cpu", "fp32"))


def test_auto_precision_follows_the_device_that_was_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert chosen_settings(RequestedSettings("d", device="cpu")).precision == "fp32"
    assert chosen_settings(RequestedSettings("d", precision="fp16")).precision == "fp16"


def test_options_become_settings_and_the_rest_stays_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"epochs": 3, "flips": False, "rotation": 5.0, "scaling": 0.1, "noise": 0.0, "colour": 0.2, "ema": 0.9}
    given |= {"random_erasing": 0.5, "trivial_augment": True}
    asked = AskedSettings.of(Path("ham"), given)
    assert Path(asked.values.data) == tmp_path / "ham", "absolute, so that a resumed run finds it from anywhere"
    assert asked.values.augmentation == Augmentation(False, 5.0, 0.1, 0.0, 0.2, 0.5, True)
    rest = replace(asked.values, data="", epochs=100, ema=0.0, augmentation=Augmentation())
    assert rest == RequestedSettings("")
    assert asked.given == {"data", "epochs", "ema"} | {f"augmentation.{name}" for name in asdict(Augmentation())}


def test_no_data_folder_is_an_empty_name():
    asked = AskedSettings.of(None, {})
    assert (asked.values, asked.given) == (RequestedSettings(""), frozenset())


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"epoch": 3}, "There is no setting epoch; did you mean epochs?"),
        ({"epochs": 0}, "The setting epochs is 0; it must be a whole number from 1 up."),
        ({"noise": "much"}, "The setting noise is 'much'; it must be a number from 0 to 1."),
    ],
    ids=str,
)
def test_what_cannot_be_asked_for_is_a_usage_error(given, sentence):
    with pytest.raises(UsageError) as refused:
        AskedSettings.of(None, given)
    assert str(refused.value) == sentence


def test_a_run_keeps_every_setting_that_is_not_asked_for():
    def changed(**given):
        return changed_settings(UNUSUAL, AskedSettings.of(None, given))

    assert changed() == UNUSUAL
    assert changed(epochs=9).differences(UNUSUAL) == ["epochs 7 -> 9"]
    assert changed(noise=0.0).augmentation == replace(UNUSUAL.augmentation, noise=0.0)
    assert changed(feature_views=5) == replace(UNUSUAL, feature_views=5)
    assert changed(device="cpu") == replace(UNUSUAL, device="cpu")


def test_auto_for_an_earlier_run_is_what_this_machine_would_choose(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    on_gpu = replace(UNUSUAL, precision="fp16")
    asked = AskedSettings.of(None, {"precision": "auto"})
    assert changed_settings(on_gpu, asked).precision == "bf16", "the device is the run's: cuda"
    asked = AskedSettings.of(None, {"precision": "auto", "device": "auto"})
    assert changed_settings(on_gpu, asked) == replace(UNUSUAL, device="cpu", precision="fp32")


def test_reading_settings_needs_neither_torch_nor_numpy():
    code = "import sys, dermedge.config; sys.exit(bool({'torch', 'numpy', 'pandas', 'typer'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_versions_name_what_a_result_depends_on():
    assert set(versions()) == {"dermedge", "torch", "numpy"}
    assert versions()["torch"] == torch.__version__
