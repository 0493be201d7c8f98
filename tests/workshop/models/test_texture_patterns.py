"""Texture patterns: what they are, against medians taken the plain way, and that they change no trained network."""

import numpy as np
import pytest
import torch
from scipy.ndimage import median_filter

from dermedge.data.ham10000 import HAM10000
from dermedge.models.classifier import FusedClassifier
from dermedge.models.texture_patterns import CLEAR, QUADRANTS, SAME, TexturePatterns, median_of_nine

GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32).reshape(1, 3, 1, 1)


@pytest.fixture
def image() -> torch.Tensor:
    """Smooth shades with noise, so that all three steps and what is between them occur; float32 [2, 3, 12, 17]."""
    generator = torch.Generator().manual_seed(0)
    return 0.5 + 0.02 * torch.randn(2, 3, 12, 17, generator=generator)


def test_a_median_of_nine_is_the_fifth(image: torch.Tensor) -> None:
    values = image[:, :1]
    expected = values.unfold(2, 3, 1).unfold(3, 3, 1).flatten(4).median(dim=4).values
    assert torch.equal(median_of_nine(values), expected)


def test_each_channel_compares_a_pixel_with_the_median_of_its_quadrant(image: torch.Tensor) -> None:
    found = TexturePatterns().patterns(image).numpy()
    for picture, patterns in zip((image.numpy() * GREY).sum(axis=1), found, strict=True):
        wide = np.pad(picture, 2, mode="edge")
        medians = median_filter(wide, size=3, mode="constant")[1:-1, 1:-1]
        for channel, (down, right) in zip(patterns, QUADRANTS, strict=True):
            quadrant = medians[1 + down : 13 + down, 1 + right : 18 + right]
            apart = quadrant - picture
            expected = np.sign(apart) * np.clip((np.abs(apart) - SAME) / (CLEAR - SAME), 0, 1)
            np.testing.assert_allclose(channel, expected, atol=1e-4)
    assert {-1, 0, 1} <= set(np.unique(found))


def test_a_flat_picture_has_no_texture_and_a_bright_dot_is_brighter_than_all_around_it() -> None:
    image = torch.full((1, 3, 8, 8), 0.4)
    assert not TexturePatterns().patterns(image).any()
    image[:, :, 4, 4] = 0.9
    found = TexturePatterns().patterns(image)
    assert (found[0, :, 4, 4] == -1).all()
    found[0, :, 4, 4] = 0
    assert not found.any(), "a median sees no single dot"


def test_a_trained_network_answers_as_before_until_the_mixing_is_learned(image: torch.Tensor) -> None:
    torch.manual_seed(0)
    plain = FusedClassifier("image_only", HAM10000.clinical("grouped"), 7).eval()
    textured = FusedClassifier("image_only", HAM10000.clinical("grouped"), 7, texture_patterns=True).eval()
    missing = textured.load_state_dict(plain.state_dict(), strict=False)
    assert missing.missing_keys == ["texture.mix.weight"] and not missing.unexpected_keys
    image = torch.nn.functional.interpolate(image, size=(32, 32))
    assert torch.equal(textured(image, None, None), plain(image, None, None))
    textured.train()
    textured(image, None, None).square().sum().backward()
    gradient = textured.texture.mix.weight.grad
    assert gradient is not None and gradient.abs().max() > 0, "and it learns"
    clinical = FusedClassifier("clinical_only", HAM10000.clinical("grouped"), 7, texture_patterns=True)
    assert clinical.texture is None
