"""Generalised-mean pooling: what it computes, its slope, and numbers that floats hardly hold."""

import pytest
import torch

from dermedge.models.generalised_mean import START, GeneralisedMean

MAP = torch.rand(2, 5, 3, 4, generator=torch.Generator().manual_seed(0)) * 3 - 0.5


def pooling(p: float = START) -> GeneralisedMean:
    made = GeneralisedMean()
    made.p.data.fill_(p)
    return made


@pytest.mark.parametrize("p", [1.0, 2.0, START, 7.5])
def test_it_is_the_root_of_the_mean_power(p: float) -> None:
    cells = MAP.double().clamp(min=1e-6)
    expected = (cells**p).mean(dim=(2, 3)) ** (1 / p)
    torch.testing.assert_close(pooling(p)(MAP), expected.float())


def test_it_lies_between_the_average_and_the_maximum() -> None:
    cells = MAP.clamp(min=1e-6)
    torch.testing.assert_close(pooling(1)(MAP), cells.mean((2, 3)))
    found = torch.stack([pooling(p)(MAP) for p in (1, 2, 4, 8, 200)])
    assert (found.diff(dim=0) > 0).all() and (found[-1] <= cells.amax((2, 3))).all()
    torch.testing.assert_close(found[-1], cells.amax((2, 3)), rtol=0.02, atol=0)


def test_p_learns_and_stays_a_mean() -> None:
    made = pooling()
    made(MAP).sum().backward()
    step = 1e-3
    slope = (pooling(START + step)(MAP).double().sum() - pooling(START - step)(MAP).double().sum()) / (2 * step)
    torch.testing.assert_close(made.p.grad.double(), slope, rtol=0.01, atol=0)
    torch.testing.assert_close(pooling(-2)(MAP), pooling(1)(MAP))


@pytest.mark.parametrize("p", [1.0, START, 7.5])
def test_the_summed_slope_is_that_of_autograd(p: float) -> None:
    made, cells = pooling(p), MAP.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(made(cells).sum(), cells)
    found = made.summed_slope(MAP)
    torch.testing.assert_close(found, gradient.sum(dim=(2, 3)))
    assert p == 1 or found.std() > 0.01, "it differs from channel to channel"


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-5, 3e4])
@pytest.mark.parametrize("p", [START, 50.0])
def test_empty_and_huge_channels_are_pooled_to_numbers(value: float, p: float) -> None:
    made, cells = pooling(p), torch.full((1, 2, 2, 2), value).requires_grad_()
    pooled = made(cells)
    pooled.sum().backward()
    torch.testing.assert_close(pooled, torch.full((1, 2), max(value, 1e-6)))
    assert cells.grad.isfinite().all() and made.p.grad.isfinite().all() and made.summed_slope(cells).isfinite().all()


def test_it_is_computed_in_float32() -> None:
    half = MAP.bfloat16()
    assert pooling()(half).dtype == torch.float32
    torch.testing.assert_close(pooling()(half), pooling()(half.float()))
