"""Contrast: what it stretches, and what it must leave."""

import pytest
import torch

from dermedge.models.preparation.contrast import DEVIATIONS, LARGEST_GAIN, Contrast
from dermedge.models.preparation.preparation import Preparation

WEIGHTS = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


def picture(spread: float, mean: float = 0.5) -> torch.Tensor:
    """Smooth brightness around a mean, with three different colours, float32 [2, 3, 16, 16]."""
    ramp = torch.linspace(-spread, spread, 256).view(1, 1, 16, 16)
    colours = torch.tensor([[0.02, 0.0, -0.02], [0.0, 0.02, 0.01]]).view(2, 3, 1, 1)
    return mean + ramp + colours


def brightness(image: torch.Tensor) -> torch.Tensor:
    return (image * WEIGHTS).sum(1)


def test_a_flat_picture_is_stretched_by_one_gain_for_all_colours() -> None:
    image = picture(0.1)
    found = Contrast()(image)
    gain = brightness(found).std(dim=(1, 2)) / brightness(image).std(dim=(1, 2))
    expected = 1 / (2 * DEVIATIONS * brightness(image).std(dim=(1, 2), correction=0))
    torch.testing.assert_close(gain, expected, rtol=1e-4, atol=0)
    assert (gain > 1.5).all() and (gain < LARGEST_GAIN).all()
    apart = (found[:, 0] - found[:, 2]) / (image[:, 0] - image[:, 2])
    torch.testing.assert_close(apart, gain.view(2, 1, 1).expand_as(apart), rtol=1e-3, atol=0)


@pytest.mark.parametrize(("gain", "shift"), [(0.6, 0.1), (1.4, -0.2)])
def test_contrast_and_exposure_of_the_camera_do_not_matter(gain: float, shift: float) -> None:
    image = picture(0.15)
    torch.testing.assert_close(Contrast()(gain * image + shift), Contrast()(image), atol=1e-4, rtol=0)


def test_noise_of_a_uniform_picture_is_not_amplified_without_bounds() -> None:
    image = picture(0.001, mean=0.3)
    found = Contrast()(image)
    change = (found - found.mean((2, 3), keepdim=True)) / (image - image.mean((2, 3), keepdim=True))
    torch.testing.assert_close(change, torch.full_like(change, LARGEST_GAIN), rtol=1e-2, atol=0)
    assert Contrast()(torch.full((1, 3, 8, 8), 0.7)).isfinite().all()


def test_a_picture_that_has_the_whole_range_stays() -> None:
    image = torch.zeros(1, 3, 8, 8)
    image[..., ::2] = 1
    assert torch.equal(Contrast()(image), image)


def test_every_picture_is_stretched_by_itself_and_last() -> None:
    batch = torch.cat([picture(0.05), picture(0.3)])
    for row, image in zip(Contrast()(batch), batch, strict=True):
        torch.testing.assert_close(row, Contrast()(image[None])[0])
    every = Preparation(hair_removal=True, colour_constancy=True, contrast=True)
    assert every.names == ("hair_removal", "colour_constancy", "contrast") and not every.state_dict()
    first = Preparation(hair_removal=True, colour_constancy=True)(batch)
    assert torch.equal(every(batch), Contrast()(first))
