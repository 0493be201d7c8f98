"""Colour constancy and hair removal: what they take away, and what they must leave."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import dermedge
from dermedge.data.batches.lesion_data import LesionData, preparation_of
from dermedge.data.cache.feature_cache import FrozenTrunk, load_feature_data
from dermedge.data.ham10000 import HAM10000
from dermedge.models.classifier import pool
from dermedge.models.preparation.colour_constancy import ColourConstancy
from dermedge.models.preparation.hair_removal import HairRemoval
from dermedge.models.preparation.preparation import Preparation
from dermedge.training.predictions import trained_model
from dermedge.training.train import Trainer, train
from dermedge_runtime.errors import UsageError

BOTH = {"hair_removal": True, "colour_constancy": True}
SKIN = torch.tensor([0.85, 0.65, 0.55]).view(1, 3, 1, 1)
HAIR = torch.tensor([0.2, 0.15, 0.1]).view(1, 3, 1, 1)


def skin(size: int, seed: int = 0) -> torch.Tensor:
    """Skin with a little texture, float32 [1, 3, size, size]."""
    generator = torch.Generator().manual_seed(seed)
    return (SKIN + 0.01 * torch.randn(1, 1, size, size, generator=generator)).contiguous()


def painted(image: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    return torch.where(where, HAIR, image)


def grid(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column numbers."""
    return torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")


def disc(size: int, radius: float) -> torch.Tensor:
    row, column = grid(size)
    return (row - size / 2) ** 2 + (column - size / 2) ** 2 <= radius**2


def line(size: int, degrees: float, width: float) -> torch.Tensor:
    """A line through the middle, half as long as the picture."""
    row, column = grid(size)
    row, column = row - size / 2, column - size / 2
    angle = torch.deg2rad(torch.tensor(degrees))
    across = (column * angle.sin() - row * angle.cos()).abs() <= width / 2
    return across & ((column * angle.cos() + row * angle.sin()).abs() <= size / 4)


@pytest.mark.parametrize("gain", [(0.7, 1.0, 1.0), (1.0, 0.8, 0.6), (0.5, 0.9, 0.7)])
def test_a_colour_cast_is_removed(gain):
    lesion = painted(skin(64), disc(64, 15))
    cast = lesion * torch.tensor(gain).view(1, 3, 1, 1)
    plain, corrected = ColourConstancy()(lesion), ColourConstancy()(cast)
    assert (cast - lesion).abs().max() > 0.1
    # Up to its strength: the light's brightness is not estimated.
    torch.testing.assert_close(corrected / corrected.mean(), plain / plain.mean(), atol=1e-5, rtol=1e-5)
    means = corrected.pow(6).mean(dim=(2, 3)).pow(1 / 6)
    torch.testing.assert_close(means, means[:, :1].expand(1, 3), rtol=1e-3, atol=0)


def test_a_corrected_or_neutral_picture_stays_as_it_is():
    once = ColourConstancy()(0.8 * skin(64))
    torch.testing.assert_close(ColourConstancy()(once), once, atol=1e-5, rtol=0)
    grey = skin(64).mean(dim=1, keepdim=True).expand(1, 3, 64, 64)
    torch.testing.assert_close(ColourConstancy()(grey), grey, atol=1e-5, rtol=0)


@pytest.mark.parametrize("value", [0.0, 1 / 255, 1.0])
def test_pictures_of_one_colour_survive(value):
    image = torch.full((2, 3, 32, 32), value)
    image[1, 1:] = 0  # red alone, or black
    found = Preparation(**BOTH)(image)
    assert found.isfinite().all() and found.min() >= 0 and found.max() <= 1
    torch.testing.assert_close(found[0], image[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("size", [128, 256])
@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 90, 135, 160])
def test_a_dark_line_on_skin_disappears(size, degrees):
    clean, where = skin(size), line(size, degrees, size / 100)
    hairy = painted(clean, where)
    found = HairRemoval()(hairy)
    before, after = (hairy - clean).abs().mean(), (found - clean).abs().mean()
    assert after < 0.15 * before
    assert (found - clean).abs().amax(dim=1)[0][where].mean() < 0.1, "of a contrast of 0.6"


@pytest.mark.parametrize("size", [128, 256])
@pytest.mark.parametrize("share", [0.012, 0.03, 0.1, 0.25])
def test_a_round_lesion_stays_whatever_its_size(size, share):
    lesion = painted(skin(size), disc(size, share * size))
    found = HairRemoval()(lesion)
    assert (found - lesion).abs().max() < 0.05
    assert (found - lesion).abs().mean() < 1e-3


def test_a_border_a_corner_and_plain_skin_stay():
    row, column = grid(128)
    for where in (row < 40, (row < 30) & (column < 30), row + column < 30, row < -1):
        image = painted(skin(128), where)
        assert (HairRemoval()(image) - image).abs().mean() < 1e-3


def test_red_vessels_are_no_hair():
    vessel = torch.where(line(128, 30, 2), torch.tensor([0.8, 0.3, 0.3]).view(1, 3, 1, 1), skin(128))
    torch.testing.assert_close(HairRemoval()(vessel), vessel, atol=0.03, rtol=0)


def test_a_hair_is_found_wherever_the_picture_is_turned():
    hairy = painted(skin(128), line(128, 25, 2))
    expected = HairRemoval()(hairy)
    for turned, back in [((2,), (2,)), ((3,), (3,)), ((2, 3), (2, 3))]:
        torch.testing.assert_close(HairRemoval()(hairy.flip(turned)).flip(back), expected, atol=1e-5, rtol=0)
    turned = HairRemoval()(hairy.transpose(2, 3)).transpose(2, 3)
    torch.testing.assert_close(turned, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [32, 37, 150, 224])
def test_every_size_and_batch_is_prepared_picture_by_picture(size):
    batch = torch.cat([painted(skin(size, seed), line(size, 30, size / 64)) for seed in (0, 1)])
    batch = batch.to(memory_format=torch.channels_last)
    found = Preparation(**BOTH)(batch)
    assert found.shape == batch.shape and found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    for row, image in zip(found, batch, strict=True):
        torch.testing.assert_close(row, Preparation(**BOTH)(image[None])[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("estimate", "light"), [("gray_world", np.mean), ("max_rgb", np.max)])
def test_the_light_may_be_the_mean_or_the_brightest_of_each_channel(estimate, light):
    image = skin(32, 1) * torch.tensor([0.9, 0.8, 0.7]).view(1, 3, 1, 1)
    image[:, :, 8:20, 8:20] *= torch.tensor([0.3, 0.2, 0.9]).view(1, 3, 1, 1)  # a lesion of another colour
    step = Preparation(colour_constancy=True, light_estimate=estimate)
    colour = light(image.numpy(), axis=(2, 3), keepdims=True)
    expected = np.clip(image.numpy() * (colour.mean() / colour), 0, 1)
    np.testing.assert_allclose(step(image).numpy(), expected, atol=1e-5)
    assert step.names == (f"colour_constancy_{estimate}",), "features are kept under another key"
    assert (step(image) - Preparation(colour_constancy=True)(image)).abs().max() > 1e-3


def test_without_steps_nothing_happens():
    image = skin(32)
    assert Preparation()(image) is image
    assert Preparation().names == ()
    assert Preparation(**BOTH).names == ("hair_removal", "colour_constancy")
    assert not Preparation(**BOTH).state_dict()


def test_training_prepares_before_it_augments_and_evaluation_prepares_too(new_run, samples, monkeypatch):
    config, run = new_run(fusion="image_only", **BOTH)
    trainer = Trainer(config, samples, run)
    (batch,) = trainer.data.batches(np.arange(8), 8, torch.device("cpu"))
    seen = []
    monkeypatch.setattr("dermedge.training.trained_part.augment", lambda image, settings: seen.append(image) or image)
    trainer.part.seen(batch)
    expected = Preparation(**BOTH)(batch.image)
    assert torch.equal(seen[0], expected) and not torch.equal(expected, batch.image)
    model = trainer.model.eval()
    with torch.no_grad():
        found = model(batch.image, batch.numeric, batch.categorical)
        assert torch.equal(found, model.score(expected, None))
        assert torch.equal(model.head(pool(model.feature_map(batch.image)), None), found)


def test_a_training_with_both_steps_resumes_to_the_same_weights(new_run, samples):
    config, whole = new_run(**BOTH)
    train(config, samples, whole)
    _, run = new_run(**BOTH)
    Trainer(config, samples, run).run_epoch(0)
    train(config, samples, run)
    one, other = load_file(run.weights_file), load_file(whole.weights_file)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert trained_model(run).preparation.names == ("hair_removal", "colour_constancy")


def test_computed_features_are_those_of_prepared_pictures(new_run, samples, tmp_path):
    config, run = new_run(fusion="image_only", **BOTH)
    network = Trainer(config, samples, run).model.eval()
    schema = HAM10000.clinical(config.protocol)
    frozen = FrozenTrunk(network, "hash", 0, tmp_path)
    found = load_feature_data(frozen, samples[:5], schema, config, 0).features[0]
    (batch,) = LesionData.load(samples[:5], schema, config).batches(np.arange(5), 5, torch.device("cpu"))
    with torch.no_grad():
        expected = pool(network.trunk(preparation_of(config)(batch.image))).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    plain, _ = new_run(fusion="image_only")
    load_feature_data(frozen, samples[:5], schema, plain, 0)
    assert len(list(tmp_path.glob("*.f32"))) == 2, "the two kinds never share a file"


def test_a_light_that_is_not_taken_out_is_not_estimated(synthetic_data, tmp_path) -> None:
    with pytest.raises(UsageError, match="--light-estimate is for --colour-constancy: give both, or leave it out"):
        dermedge.train(synthetic_data, run=tmp_path / "run", light_estimate="max_rgb", image_size=32, epochs=1)
    assert not (tmp_path / "run" / "config.json").exists()
    with pytest.raises(UsageError, match="--texture-patterns is about the network that reads the picture"):
        dermedge.train(synthetic_data, run=tmp_path / "run", fusion="clinical_only", texture_patterns=True)
