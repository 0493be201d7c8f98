"""Soft attention: its equation, written out cell by cell."""

import math

import torch

from dermedge.models.soft_attention import MAPS, SoftAttention

MAP = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)) * 4


def attention(gamma: float = 0.7) -> SoftAttention:
    torch.manual_seed(1)
    made = SoftAttention(3)
    made.gamma.data.fill_(gamma)
    return made


@torch.no_grad()
def test_it_is_the_equation_of_its_docstring() -> None:
    made = attention()
    scores = made.maps(MAP).clamp(min=0)
    found = made(MAP)
    assert found.shape == (2, 6, 4, 5) == (2, made.channels, 4, 5)
    assert torch.equal(found[:, :3], MAP)
    for row, (y, x) in ((0, (0, 0)), (1, (3, 2)), (1, (1, 4))):
        weight = sum(
            math.exp(scores[row, k, y, x]) / sum(math.exp(each) for each in scores[row, k].flatten())
            for k in range(MAPS)
        )
        torch.testing.assert_close(found[row, 3:, y, x], 0.7 * weight * MAP[row, :, y, x])


@torch.no_grad()
def test_the_weights_of_a_picture_add_up_and_are_its_own() -> None:
    made = attention()
    weights = made.where_to_look(MAP)
    torch.testing.assert_close(weights.sum(dim=(1, 2, 3)), torch.full((2,), float(MAPS)))
    assert weights.flatten(1).std(dim=1).min() > 1e-3
    torch.testing.assert_close(made.where_to_look(MAP[1:]), weights[1:])


def test_all_of_it_learns() -> None:
    made = SoftAttention(3)
    assert made.gamma.item() == 1
    made(MAP).square().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in made.parameters())
