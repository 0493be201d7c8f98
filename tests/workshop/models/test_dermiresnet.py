import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from dermedge.data.ham10000 import HAM10000
from dermedge.models.branches.dermiresnet import ConvBlock, DermiResNet, ResidualUnit
from dermedge.models.classifier import FusedClassifier, pool
from dermedge.models.image_head import ImageHead


@pytest.fixture(scope="module")
def trunk() -> DermiResNet:
    torch.manual_seed(0)
    return DermiResNet().eval()


def residual_units(trunk: DermiResNet) -> list[ResidualUnit]:
    return [module for module in trunk.modules() if isinstance(module, ResidualUnit)]


def shaken(module: nn.Module) -> nn.Module:
    """Give batch normalisation other statistics and scales than the neutral ones it starts with."""
    generator = torch.Generator().manual_seed(3)
    for name, tensor in module.state_dict().items():
        if name.endswith(("running_mean", "running_var", "norm1.weight", "norm2.weight", "norm.weight", "bias")):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    return module.eval()


def normalised(x: torch.Tensor, norm: nn.BatchNorm2d) -> torch.Tensor:
    return functional.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)


@pytest.mark.parametrize("size", [(32, 32), (128, 128), (256, 256), (33, 33), (65, 100), (1, 1)])
@torch.no_grad()
def test_the_map_has_512_channels_and_a_32nd_of_the_size_rounded_up(trunk, size):
    feature_map = trunk(torch.rand(2, 3, *size))
    assert feature_map.shape == (2, 512, math.ceil(size[0] / 32), math.ceil(size[1] / 32))
    assert feature_map.isfinite().all()


def test_four_stages_of_64_128_256_512_channels_with_one_alpha_each(trunk):
    assert [type(module) for module in trunk.stages] == [ConvBlock, ResidualUnit] * 4
    assert [unit.conv2.out_channels for unit in residual_units(trunk)] == [64, 128, 256, 512]
    alphas = {name: value for name, value in trunk.named_parameters() if name.endswith("alpha")}
    assert len(alphas) == 4
    assert all(value.shape == () and value.requires_grad and value.item() == 1 for value in alphas.values())


@torch.no_grad()
def test_a_downsampling_block_is_conv_leaky_relu_conv_norm():
    block, x = shaken(ConvBlock(4, 6)), torch.randn(2, 4, 9, 8)
    inner = functional.leaky_relu(functional.conv2d(x, block.conv1.weight, block.conv1.bias, 2, 1), 0.01)
    expected = normalised(functional.conv2d(inner, block.conv2.weight, None, 1, 1), block.norm)
    torch.testing.assert_close(block(x), expected)
    assert block(x).shape == (2, 6, 5, 4)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.7])
@torch.no_grad()
def test_alpha_weighs_the_skip_connection(alpha):
    unit, x = shaken(ResidualUnit(6, dropout=0.5)), torch.randn(2, 6, 5, 5)
    unit.alpha.fill_(alpha)
    inner = functional.leaky_relu(normalised(functional.conv2d(x, unit.conv1.weight, None, 1, 1), unit.norm1), 0.01)
    f = functional.leaky_relu(normalised(functional.conv2d(inner, unit.conv2.weight, None, 1, 1), unit.norm2), 0.01)
    torch.testing.assert_close(unit(x), f + alpha * x)


def test_every_alpha_learns(trunk):
    trunk.zero_grad()
    trunk(torch.rand(2, 3, 32, 32)).square().sum().backward()
    assert [bool(unit.alpha.grad.abs() > 0) for unit in residual_units(trunk)] == [True] * 4


def test_dropout_acts_in_res3_and_res4_only():
    dropouts = [
        [module.p for module in unit.modules() if isinstance(module, nn.Dropout2d)]
        for unit in residual_units(DermiResNet(dropout=0.3))
    ]
    assert dropouts == [[], [], [0.3], [0.3]]
    assert not any(isinstance(module, nn.Dropout | nn.Dropout2d) for module in DermiResNet(dropout=0.0).modules())


@pytest.mark.parametrize(("index", "random"), [(0, False), (1, False), (2, True), (3, True)])
@torch.no_grad()
def test_in_training_a_unit_is_random_exactly_where_it_has_dropout(index, random):
    unit = residual_units(DermiResNet(dropout=0.5))[index].train()
    x = torch.randn(2, unit.conv1.in_channels, 4, 4)
    assert torch.equal(unit(x), unit(x)) is not random
    assert torch.equal(unit.eval()(x), unit(x))


@torch.no_grad()
def test_pooling_is_the_mean_and_the_final_block_linear_leaky_relu_linear():
    feature_map, head = torch.randn(2, 512, 3, 4), ImageHead(512)
    torch.testing.assert_close(pool(feature_map), functional.adaptive_avg_pool2d(feature_map, 1).flatten(1))
    pooled = pool(feature_map)
    expected = head[2](functional.leaky_relu(head[0](pooled), 0.01))
    torch.testing.assert_close(head(pooled), expected)
    assert expected.shape == (2, 512)


def test_the_whole_network_has_11_9_million_parameters():
    network = FusedClassifier("cross_attention", HAM10000.clinical("grouped"), n_classes=7)
    assert sum(parameter.numel() for parameter in network.parameters()) == pytest.approx(11.9e6, rel=0.05)
