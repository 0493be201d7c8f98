"""Structured pruning: the narrow network is a run as any other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import dermedge
from dermedge.data.ham10000 import HAM10000
from dermedge.models.branches import dermiresnet
from dermedge.models.narrow import widths_of
from dermedge.training.predictions import torch_probabilities, trained_model
from dermedge.training.pruning import prune
from dermedge.training.run import Run
from dermedge.training.train import train
from dermedge.training.trained_part import build_model
from dermedge_runtime.errors import DermedgeError, UsageError


@pytest.fixture
def earlier(new_run, samples, monkeypatch) -> Run:
    """A run of one epoch, wide enough to lose channels."""
    monkeypatch.setattr(dermiresnet, "STAGE_CHANNELS", (16, 16, 32, 32))
    config, run = new_run(epochs=1, fusion="concat")
    train(config, samples, run)
    return run


def size_of(model: nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


def test_a_pruned_run_is_narrower_and_a_run_as_any_other(earlier, samples, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run = dermedge.train(start_from=earlier, prune=0.5, epochs=1)
    assert run.path.name == f"{earlier.path.name}-pruned" and run.config.prune == 0.5
    assert run.config.widths["stages.6.conv1"] == [16, 16] and run.config.widths["feature_map"] == [16, 16]
    model = trained_model(Run.open(run.path))
    assert size_of(model.trunk) < 0.35 * size_of(trained_model(earlier).trunk)
    assert model.head.image[0].in_features == 16
    assert np.isfinite(torch_probabilities(run, samples[:3])).all()
    onward = dermedge.train(start_from=run, quantise_aware=True, epochs=1)
    assert onward.config.widths == run.config.widths and onward.config.prune == 0
    assert load_file(onward.weights_file)["trunk.stages.6.conv1.weight"].shape == (16, 16, 3, 3)


def test_the_smallest_channels_go_and_the_others_stay_as_they_are(earlier):
    config = earlier.config
    model = build_model(config, HAM10000).eval()
    trunk = model.trunk
    weak = [1, 4, 6, 15]
    with torch.no_grad():
        for name, weight in trunk.named_parameters():
            if name.startswith(("conv1.", "norm1.")):
                weight[weak] *= 1e-3
        trunk.stages[0].conv1.weight[:, weak] *= 1e-3
    before = trunk.conv1.weight.detach().clone()
    prune(model, 0.25)
    strong = [index for index in range(16) if index not in weak]
    assert torch.equal(trunk.conv1.weight, before[strong])


@pytest.mark.parametrize(
    ("name", "after"),
    [
        ("dermiresnet", {}),
        ("efficientnet_lite0", {}),
        ("dermiresnet+dermiresnet", {"attention": "soft", "pooling": "gem"}),
    ],
)
def test_a_network_made_from_the_widths_computes_the_same(earlier, name, after):
    config = replace(earlier.config, image_branch=name, **after)
    model = build_model(config, HAM10000).eval()
    prune(model, 0.3)
    again = build_model(replace(config, widths=widths_of(model.trunk)), HAM10000)
    again.load_state_dict(model.state_dict())
    seen = torch.rand(2, 3, 64, 64), torch.rand(2, len(model.encoder.schema.features))
    torch.testing.assert_close(again.eval().score(*seen), model.score(*seen))
    if name == "efficientnet_lite0":
        depthwise = again.trunk.get_submodule("network.blocks.1.0.conv_dw")
        assert depthwise.groups == depthwise.in_channels == depthwise.out_channels < 96


def test_nonsense_is_refused(earlier, tmp_path):
    for share, words in ((0.0, "above 0 and below 0.9"), (0.95, "below 0.9"), (1e-6, "takes no channel out")):
        with pytest.raises(UsageError, match=words):
            dermedge.train(start_from=earlier, prune=share, run=tmp_path / "refused")
    with pytest.raises(UsageError, match="--prune needs --start-from"):
        dermedge.train(earlier.config.data, prune=0.3, run=tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_a_branch_that_cannot_be_followed_and_a_foreign_table_are_one_sentence(earlier):
    model = build_model(earlier.config, HAM10000)
    model.trunk.stages[0] = nn.Flatten()
    with pytest.raises(UsageError, match="--prune cannot follow this image branch"):
        prune(model, 0.3)
    with pytest.raises(DermedgeError, match="widths is of another image branch"):
        build_model(replace(earlier.config, widths={"conv1": [3, 8]}), HAM10000)
