"""The image branch with the rounding of an INT8 file in it, on random weights."""

import copy

import pytest
import torch
from torch import nn

from dermedge.models.branches import dermiresnet
from dermedge.models.branches.branch import ImageBranch
from dermedge.models.branches.families import new_branch
from dermedge.models.fake_quantised import fake_quantised, ordinary_weights, rounded_weights
from dermedge_runtime.errors import UsageError


class Small(ImageBranch):
    """Two convolutions, a rectifier of choice between them, a sum with what came in."""

    channels, stride = 3, 1

    def __init__(self, rectifier: nn.Module) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.rectifier, self.second = rectifier, nn.Conv2d(8, 3, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """As the class says."""
        return self.second(self.rectifier(self.norm(self.first(image)))) + image


@pytest.fixture(params=["dermiresnet", "efficientnet_lite0"])
def branch(request, monkeypatch) -> ImageBranch:
    """A real branch whose batch statistics are those of some pictures."""
    monkeypatch.setattr(dermiresnet, "STAGE_CHANNELS", (8, 8, 16, 16))
    torch.manual_seed(0)
    made = new_branch(request.param).train()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        made(torch.rand(8, 3, 64, 64))
    return made.eval()


def test_it_is_the_branch_but_for_the_rounding(branch):
    pictures = torch.rand(4, 3, 64, 64)
    expected, names = branch(pictures), list(branch.state_dict())
    rounded = fake_quantised(copy.deepcopy(branch))
    rounded.find_ranges(pictures)
    found = rounded(pictures)
    assert (rounded.channels, rounded.stride) == (branch.channels, branch.stride)
    similarity = torch.cosine_similarity(found.flatten(1), expected.flatten(1)).min()
    assert 0.7 < similarity < 0.99999, "rounded, but only rounded; noise goes far in random weights"
    kept = ordinary_weights({f"trunk.{name}": each for name, each in rounded.state_dict().items()}, "trunk.")
    assert sorted(kept) == sorted(f"trunk.{name}" for name in names)
    assert all(torch.equal(kept[f"trunk.{name}"], each) for name, each in branch.state_dict().items())


def test_every_weight_learns_and_no_batch_statistic_moves(branch):
    rounded = fake_quantised(branch)
    rounded.find_ranges(torch.rand(4, 3, 64, 64))
    before = {name: each.clone() for name, each in rounded.named_buffers()}
    rounded.train()(torch.rand(4, 3, 64, 64)).square().sum().backward()
    assert [name for name, each in rounded.named_parameters() if each.grad is None or not each.grad.any()] == []
    moved = {name.rpartition(".")[2] for name, each in rounded.named_buffers() if not torch.equal(each, before[name])}
    assert {"min_val", "max_val"} & moved and not {"running_mean", "running_var"} & moved
    ranges = [each.clone() for each in rounded.eval().state_dict().values()]
    rounded(2 * torch.rand(4, 3, 64, 64))
    again = rounded.state_dict()
    assert [n for (n, each), old in zip(again.items(), ranges, strict=True) if not torch.equal(each, old)] == [], (
        "ranges move in training alone"
    )


def test_weights_are_whole_steps_of_seven_bits_in_every_channel():
    torch.manual_seed(1)
    weight = torch.randn(5, 4, 3, 3) * torch.tensor([1e-3, 0.1, 1, 10, 0])[:, None, None, None]
    rounded = rounded_weights(weight)
    largest = weight.abs().amax(dim=(1, 2, 3))
    steps = rounded[:4] / (largest[:4, None, None, None] / 64)
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    torch.testing.assert_close(steps.abs().amax(dim=(1, 2, 3)), torch.full((4,), 64.0))
    assert not rounded[4].any()
    error = (rounded - weight).abs().amax(dim=(1, 2, 3))
    assert (error <= largest / 64 * 0.5001).all()


def test_frozen_normalisation_may_follow_the_rounding():
    """Folded into the weights before they are rounded, as an export does it, it gives the same."""
    torch.manual_seed(2)
    weight, scale = torch.randn(6, 3, 3, 3), torch.tensor([0.3, -2, 1e-2, 7, 1, -0.5])[:, None, None, None]
    torch.testing.assert_close(rounded_weights(weight * scale), rounded_weights(weight) * scale)


def test_a_rectifier_is_rounded_with_the_layer_before_it_and_a_leaky_one_apart():
    counts = [
        len(list(fake_quantised(Small(each)).get_submodule("quantisers").children()))
        for each in (nn.ReLU6(), nn.Identity(), nn.LeakyReLU())
    ]
    assert counts == [4, 4, 5], "the picture, the two layers, the sum; and the leaky rectifier"


@pytest.mark.parametrize("rectifier", [nn.Hardswish(), nn.Sigmoid()], ids=str)
def test_what_cannot_be_rounded_as_in_a_file_is_refused(rectifier):
    with pytest.raises(UsageError, match=rf"this one has {type(rectifier).__name__}, whose rounding"):
        fake_quantised(Small(rectifier))
