"""A training that starts from an earlier run's weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dermedge.data.ham10000 import HAM10000
from dermedge.training.checkpoint import save_weights
from dermedge.training.start_weights import load_start_weights, start_weights
from dermedge.training.train import Trainer, train
from dermedge_runtime.errors import DermedgeError, InputRejected, UsageError


@pytest.fixture
def earlier(new_run, samples):
    """A run of one epoch on 32 px."""
    config, run = new_run(epochs=1)
    train(config, samples, run)
    return config, run


def test_the_same_network_takes_everything_at_another_size(earlier, new_run, samples) -> None:
    config, run = earlier
    found = start_weights(run.path, replace(config, image_size=48), HAM10000, run.split)
    assert found.sha256 == run.weights_sha256 and "all weights" in found.summary
    after, target = new_run(image_size=48, start_from=found.sha256)
    save_weights(target.start_file, found.tensors)
    started = Trainer(after, samples, target).model.state_dict()
    for name, tensor in load_file(run.weights_file).items():
        assert torch.equal(started[name], tensor), name


def test_another_fusion_takes_the_image_branch_alone(earlier, new_run, samples) -> None:
    config, run = earlier
    found = start_weights(run.path, replace(config, fusion="concat"), HAM10000, run.split)
    assert {name.split(".")[0] for name in found.tensors} == {"trunk", "head"}
    assert all(name.startswith(("trunk.", "head.image.")) for name in found.tensors)
    after, target = new_run(fusion="concat", start_from=found.sha256)
    save_weights(target.start_file, found.tensors)
    random = Trainer(replace(after, start_from=""), samples, target).model.state_dict()
    started = Trainer(after, samples, target).model.state_dict()
    for name, tensor in started.items():
        expected = found.tensors.get(name, random[name])
        assert torch.equal(tensor, expected), name


def test_a_run_that_trained_on_held_back_lesions_is_refused(earlier) -> None:
    config, run = earlier
    split = run.split
    other = {"train": "test", "test": "train", "validation": "validation"}
    swapped = replace(split, rows=tuple((image, group, other[part]) for image, group, part in split.rows))
    count = len(split.ids("train"))
    with pytest.raises(InputRejected, match=rf"photographs or lesions of {count} of the"):
        start_weights(run.path, config, HAM10000, swapped)


def test_networks_without_an_image_branch_are_refused(earlier) -> None:
    config, run = earlier
    with pytest.raises(UsageError, match="clinical_only has none"):
        start_weights(run.path, replace(config, fusion="clinical_only"), HAM10000, run.split)


def test_another_image_branch_is_refused(earlier) -> None:
    config, run = earlier
    with pytest.raises(UsageError, match="is dermiresnet, not efficientnet_lite0"):
        start_weights(run.path, replace(config, image_branch="efficientnet_lite0"), HAM10000, run.split)


@pytest.mark.parametrize("name", ["attention", "pooling", "receptive_fields"])
def test_another_way_to_pool_takes_the_image_branch_alone_and_cannot_be_kept(earlier, name) -> None:
    config, run = earlier
    other = replace(config, **{name: {"attention": "soft", "pooling": "gem", "receptive_fields": "several"}[name]})
    found = start_weights(run.path, other, HAM10000, run.split)
    assert "what follows it is another one" in found.summary
    assert {each.split(".")[0] for each in found.tensors} == {"trunk"}
    told, option = name.replace("_", " "), name.replace("_", "-")
    said = f"keeps {told} as it is, and that of .* Give --{option} (none|average|one), or"
    with pytest.raises(UsageError, match=said):
        start_weights(run.path, replace(other, freeze_image_branch=True), HAM10000, run.split)


def test_damaged_and_foreign_weights_are_one_sentence(earlier, new_run, samples, tmp_path: Path) -> None:
    config, run = earlier
    with pytest.raises(DermedgeError, match="no training run"):
        start_weights(tmp_path / "nothing", config, HAM10000, run.split)
    after, target = new_run(start_from="0" * 64)
    with pytest.raises(DermedgeError, match="cannot be loaded"):
        Trainer(after, samples, target)
    save_weights(target.start_file, {"trunk.unheard_of": torch.zeros(1)})
    with pytest.raises(DermedgeError, match=r"has no trunk\.unheard_of"):
        load_start_weights(target.start_file, Trainer(replace(after, start_from=""), samples, target).model)
