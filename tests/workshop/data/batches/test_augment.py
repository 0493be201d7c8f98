import math
import sys

import numpy as np
import pytest
import torch

from dermedge.data.batches.augment import Augmentation, augment, hide_clinical
from dermedge.data.batches.torchvision_steps import check_steps
from dermedge_runtime.errors import DermedgeError

OFF = {"flips": False, "rotation_degrees": 0.0, "scaling": 0.0, "noise": 0.0, "colour": 0.0}
OFF |= {"random_erasing": 0.0, "trivial_augment": False}
STEPS = {"flips": True, "rotation_degrees": 180.0, "scaling": 0.3, "noise": 0.05, "colour": 0.2}
STEPS |= {"random_erasing": 1.0, "trivial_augment": True}


def pictures(batch: int = 4, size: int = 9) -> torch.Tensor:
    draws = np.random.default_rng(1).random((batch, 3, size, size), dtype=np.float32)
    return torch.from_numpy(draws)


def only(**steps) -> Augmentation:
    return Augmentation(**{**OFF, **steps})


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch):
    """Make every uniform draw give this number."""
    return lambda number: monkeypatch.setattr(torch, "rand", lambda *size, device=None: torch.full(size, number))


def test_with_everything_off_the_pictures_stay_as_they_are():
    assert torch.equal(augment(pictures(), Augmentation(**OFF)), pictures())


@pytest.mark.parametrize("step", STEPS)
def test_every_step_alone_changes_the_pictures_and_keeps_their_form(step):
    torch.manual_seed(0)
    before = pictures(16)
    after = augment(before, only(**{step: STEPS[step]}))
    assert after.shape == before.shape and after.dtype == torch.float32
    assert float(after.min()) >= 0 and float(after.max()) <= 1
    assert after.is_contiguous(memory_format=torch.channels_last)
    assert not torch.allclose(after, before, atol=0.01)
    assert torch.equal(before, pictures(16)), "the caller's pictures were changed"


@pytest.mark.parametrize("step", STEPS)
def test_the_draws_follow_torchs_seed_and_differ_between_pictures(step):
    same = pictures(1).expand(32, -1, -1, -1)
    results = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        results.append(augment(same, only(**{step: STEPS[step]})))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])
    assert len({tuple(one.flatten().tolist()) for one in results[0]}) > 3


@pytest.mark.parametrize("size", [8, 9])
def test_a_flip_alone_gives_exactly_one_of_the_four_flipped_pictures(size):
    torch.manual_seed(0)
    before = pictures(40, size)
    seen = set()
    for picture, flipped in zip(before, augment(before, only(flips=True)), strict=True):
        variants = {"none": picture, "h": picture.flip(2), "v": picture.flip(1), "both": picture.flip(1, 2)}
        matches = [name for name, variant in variants.items() if torch.allclose(flipped, variant, atol=1e-5)]
        assert len(matches) == 1
        seen.add(matches[0])
    assert seen == {"none", "h", "v", "both"}


@pytest.mark.parametrize("degrees", [90.0, 180.0])
@pytest.mark.parametrize(("drawn", "sign"), [(1.0, 1), (0.5, 0), (0.0, -1)])
def test_the_angle_reaches_from_minus_to_plus_the_setting(draw, degrees, drawn, sign):
    draw(drawn)
    turned = augment(pictures(), only(rotation_degrees=degrees))
    quarters = sign * int(degrees / 90)
    assert torch.allclose(turned, torch.rot90(pictures(), quarters, (2, 3)), atol=1e-5)


def ramp(size: int = 32) -> torch.Tensor:
    """A picture whose intensity is its horizontal coordinate, from -1 to 1 mapped to 0 to 1."""
    x = (2 * torch.arange(size) + 1) / size - 1
    return ((x + 1) / 2).expand(1, 3, size, size)


@pytest.mark.parametrize(("drawn", "zoom"), [(1.0, 1.5), (0.5, 1.0), (0.0, 1 / 1.5)])
def test_the_scale_reaches_from_the_inverse_to_one_plus_the_setting(draw, drawn, zoom):
    draw(drawn)
    scaled = augment(ramp(), only(scaling=0.5))
    middle = slice(8, 24)  # away from the border, where mirroring starts
    expected = (((2 * ramp() - 1) * zoom + 1) / 2)[..., middle]
    assert torch.allclose(scaled[..., middle], expected, atol=1e-5)


def test_borders_are_mirrored_never_black():
    torch.manual_seed(0)
    grey = torch.full((8, 3, 16, 16), 0.6)
    assert torch.allclose(augment(grey, only(rotation_degrees=180.0, scaling=1.0)), grey, atol=1e-5)


@pytest.mark.parametrize("strength", [0.02, 0.1])
def test_noise_has_the_set_deviation_and_no_bias(strength):
    torch.manual_seed(0)
    noise = augment(torch.full((8, 3, 32, 32), 0.5), only(noise=strength)) - 0.5
    assert float(noise.std()) == pytest.approx(strength, rel=0.03)
    assert float(noise.mean()) == pytest.approx(0, abs=strength / 20)


@pytest.mark.parametrize(("drawn", "factor"), [(1.0, 1.2), (0.5, 1.0), (0.0, 0.8)])
def test_colour_scales_brightness_and_gain_by_up_to_the_setting(draw, drawn, factor):
    draw(drawn)
    grey = torch.full((2, 3, 4, 4), 0.4)  # without contrast: brightness times gain remains
    assert torch.allclose(augment(grey, only(colour=0.2)), grey * factor**2, atol=1e-6)


def test_colour_moves_the_channels_apart_but_each_as_a_whole():
    torch.manual_seed(0)
    changed = augment(torch.full((16, 3, 4, 4), 0.4), only(colour=0.2))
    assert float(changed.flatten(2).std(dim=2).max()) < 1e-6
    assert float(changed.mean(dim=(2, 3)).std(dim=1).min()) > 1e-4


def test_erasing_takes_a_rectangle_of_about_as_many_pictures_as_asked_for():
    torch.manual_seed(0)
    erased = augment(torch.zeros(200, 3, 16, 16), only(random_erasing=0.25))
    painted = (erased > 0).all(dim=1)
    assert 0.17 < float(painted.flatten(1).any(dim=1).float().mean()) < 0.33
    for picture in painted[painted.flatten(1).any(dim=1)]:
        rows, columns = picture.any(dim=1), picture.any(dim=0)
        assert torch.equal(picture, rows[:, None] & columns[None])
        assert 0 < int(picture.sum()) <= 0.4 * 16 * 16, "2 to 33 % of the area, rounded to whole pixels"


def test_trivial_augment_keeps_what_it_does_not_change_to_the_last_of_256_levels():
    torch.manual_seed(0)
    before = pictures(64, 16).mul(255).round().div(255)
    after = augment(before, only(trivial_augment=True))
    kept = (after == before).flatten(1).all(dim=1)
    assert 0 < int(kept.sum()) < 40, "doing nothing is one of its fourteen changes"
    assert torch.equal(after, after.mul(255).round().div(255))


def test_without_torchvision_both_are_one_sentence(monkeypatch):
    for name in ("torchvision", "torchvision.transforms"):
        monkeypatch.setitem(sys.modules, name, None)
    for step in ("random_erasing", "trivial_augment"):
        with pytest.raises(DermedgeError, match="This command needs torchvision, which is not installed"):
            check_steps(only(**{step: STEPS[step]}))
    check_steps(Augmentation())


def test_the_default_strengths_are_the_documented_ones():
    assert Augmentation() == Augmentation(flips=True, rotation_degrees=180.0, scaling=0.2, noise=0.02, colour=0.0)


def test_hiding_takes_each_value_with_the_given_probability():
    torch.manual_seed(0)
    numeric, categorical = torch.full((4000, 1), 50.0), torch.full((4000, 2), 3, dtype=torch.int32)
    hidden, words = hide_clinical(numeric, categorical, 0.3)
    assert float(hidden.isnan().float().mean()) == pytest.approx(0.3, abs=0.03)
    assert (words == -1).float().mean(dim=0).tolist() == pytest.approx([0.3, 0.3], abs=0.03)
    assert set(words.unique().tolist()) == {-1, 3} and words.dtype == torch.int32
    together = float(((words[:, 0] == -1) & (words[:, 1] == -1)).float().mean())
    assert together == pytest.approx(0.09, abs=0.02), "values are hidden independently"
    assert not numeric.isnan().any() and (categorical == 3).all(), "the caller's values were changed"


@pytest.mark.parametrize(("probability", "age", "word"), [(0.0, 50.0, 3), (1.0, math.nan, -1)])
def test_hiding_with_probability_zero_and_one_is_certain(probability, age, word):
    hidden, words = hide_clinical(torch.full((9, 1), 50.0), torch.full((9, 2), 3, dtype=torch.int32), probability)
    assert torch.equal(hidden.nan_to_num(-7), torch.full((9, 1), age).nan_to_num(-7))
    assert (words == word).all()
