"""Heads on the features of a trained image branch: the features, the training, the folder they end as."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dermedge.data.batches.augment import Augmentation
from dermedge.data.batches.lesion_data import LesionData
from dermedge.data.cache.feature_cache import FrozenTrunk, load_feature_data
from dermedge.data.ham10000 import HAM10000
from dermedge.data.splits import make_split
from dermedge.models.classifier import IMAGE_SIDE, pool
from dermedge.models.generalised_mean import START
from dermedge.training.checkpoint import save_weights
from dermedge.training.head_training import HeadOnFeatures, shared_trunk_record
from dermedge.training.predictions import torch_probabilities, trained_model
from dermedge.training.start_weights import start_weights
from dermedge.training.train import Trainer, go_on, start_run, train
from dermedge_runtime.errors import UsageError

VIEWS = 2


@pytest.fixture
def frozen(new_run, samples, tmp_path: Path) -> FrozenTrunk:
    """The trunk of a trained image_only, its normalisation set so that photographs differ in more than rounding."""
    config, run = new_run(fusion="image_only")
    train(config, samples, run)
    network = trained_model(run)
    network.trunk.train()
    (batch,) = LesionData.load(samples, HAM10000.clinical(config.protocol), config).batches(
        np.arange(len(samples)), len(samples), torch.device("cpu")
    )
    with torch.no_grad():
        for _ in range(50):  # the running statistics approach the batch's
            network.trunk(batch.image)
    return FrozenTrunk(network.eval(), run.weights_sha256, VIEWS, tmp_path / "features")


@pytest.fixture
def head_run(new_run, samples, frozen) -> Callable[..., Trainer]:
    """Start a head and give its trainer."""

    def make(**settings) -> Trainer:
        config, run = new_run(**settings)
        split = make_split(samples, config.protocol, config.seed)
        run = start_run(config, split, run, extra=shared_trunk_record(frozen))
        return Trainer(config, samples, run, part=HeadOnFeatures(config, run.schema, frozen))

    return make


def test_view_0_is_the_photograph_and_the_others_are_augmented(new_run, samples, frozen):
    config, _ = new_run(fusion="image_only")
    schema = HAM10000.clinical(config.protocol)
    data = load_feature_data(frozen, samples, schema, config, VIEWS)
    plain = LesionData.load(samples, schema, config)
    (batch,) = plain.batches(np.arange(len(plain)), len(plain), torch.device("cpu"))
    with torch.no_grad():
        expected = pool(frozen.network.eval().trunk(batch.image)).numpy()
    assert len(data.features) == 1 + VIEWS
    assert np.ptp(expected, axis=0).min() > 0.01, "photographs differ"
    np.testing.assert_allclose(data.features[0], expected, atol=1e-5)
    for view in data.features[1:]:
        assert view.shape == expected.shape
        assert np.abs(view - expected).max(axis=1).min() > 0.01, "every photograph was changed"
    assert not np.array_equal(data.features[1], data.features[2])


def test_attention_and_pooling_are_frozen_with_the_trunk(new_run, samples, tmp_path):
    shared = {"attention": "soft", "pooling": "gem", "image_size": 64}  # a map of more than one cell
    config, run = new_run(fusion="image_only", **shared)
    train(config, samples, run)
    whole = trained_model(run)
    assert whole.pooling.p.item() != START and whole.attention.gamma.item() != 1, "both have learned"
    start = start_weights(run.path, replace(config, fusion="concat"), HAM10000, run.split)
    settings = {"fusion": "concat", "freeze_image_branch": True, "feature_views": 1}
    frozen, target = new_run(start_from=start.sha256, **settings, **shared)
    save_weights(target.start_file, start.tensors)
    train(frozen, samples, target)
    ended, schema = trained_model(target), HAM10000.clinical(config.protocol)
    data = load_feature_data(FrozenTrunk(ended, start.sha256, 1, target.features), samples, schema, frozen, 0)
    plain = LesionData.load(samples, schema, config)
    (batch,) = plain.batches(np.arange(len(plain)), len(plain), torch.device("cpu"))
    with torch.no_grad():
        np.testing.assert_allclose(data.features[0], whole.eval().see(batch.image), atol=1e-5)
    for name, tensor in whole.state_dict().items():
        assert not name.startswith(IMAGE_SIDE) or torch.equal(ended.state_dict()[name], tensor), name


def test_without_augmentation_every_view_is_the_photograph(new_run, samples, frozen):
    config, _ = new_run(fusion="image_only", augmentation=Augmentation(False, 0.0, 0.0, 0.0, 0.0))
    data = load_feature_data(frozen, samples, HAM10000.clinical(config.protocol), config, 1)
    np.testing.assert_array_equal(data.features[0], data.features[1])


def test_views_are_computed_once_and_a_lost_one_comes_back_the_same(new_run, samples, frozen):
    config, _ = new_run(fusion="image_only")
    schema = HAM10000.clinical(config.protocol)
    first = [np.array(view) for view in load_feature_data(frozen, samples, schema, config, VIEWS).features]
    files = sorted(frozen.folder.glob("*.f32"))
    assert len(files) == 1 + VIEWS
    lost = next(path for path in files if path.stem.endswith("view2"))
    kept = {path: path.stat().st_mtime_ns for path in files if path != lost}
    lost.unlink()
    again = load_feature_data(frozen, samples, schema, config, VIEWS)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    for one, other in zip(first, again.features, strict=True):
        np.testing.assert_array_equal(one, other)


def test_runs_that_share_a_split_share_its_views(new_run, samples, frozen):
    schema = HAM10000.clinical("grouped")
    for seed, files in ((0, 2), (1, 2), (2, 3)):
        config, _ = new_run(fusion="image_only", seed=seed, split_seed=0 if seed < 2 else "seed")
        load_feature_data(frozen, samples, schema, config, 1)
        assert len(list(frozen.folder.glob("*.f32"))) == files, "only the augmented view is drawn anew"


def test_a_damaged_view_is_computed_again(new_run, samples, frozen, caplog):
    config, _ = new_run(fusion="image_only")
    schema = HAM10000.clinical(config.protocol)
    first = np.array(load_feature_data(frozen, samples, schema, config, 0).features[0])
    (file,) = frozen.folder.glob("*.f32")
    content = bytearray(file.read_bytes())
    content[: len(content) // 2] = bytes(len(content) // 2)
    file.write_bytes(content)
    np.testing.assert_array_equal(load_feature_data(frozen, samples, schema, config, 0).features[0], first)
    assert "features" in caplog.text and "damaged" in caplog.text


def test_other_weights_have_other_features(new_run, samples, frozen):
    config, _ = new_run(fusion="image_only")
    load_feature_data(frozen, samples, HAM10000.clinical(config.protocol), config, 0)
    other = FrozenTrunk(frozen.network, "another hash", VIEWS, frozen.folder)
    load_feature_data(other, samples, HAM10000.clinical(config.protocol), config, 0)
    assert len(list(frozen.folder.glob("*.f32"))) == 2


def test_a_batch_draws_among_all_views_of_its_own_photographs(new_run, samples, frozen):
    config, _ = new_run(fusion="image_only")
    data = load_feature_data(frozen, samples, HAM10000.clinical(config.protocol), config, VIEWS)
    torch.manual_seed(0)
    order = np.repeat(np.arange(5), 20)
    (batch,) = data.batches(order, len(order), torch.device("cpu"))
    assert batch.image is None and batch.visual is batch.features
    seen = set()
    for row, photograph in zip(batch.features.numpy(), order, strict=True):
        (view,) = (v for v, features in enumerate(data.features) if np.array_equal(features[photograph], row))
        seen.add(view)
    assert seen == set(range(1 + VIEWS))


def test_the_run_ends_as_a_whole_network_on_the_very_trunk(head_run, frozen, samples):
    trainer = head_run(fusion="cross_attention")
    go_on(trainer)
    weights = load_file(trainer.run.weights_file)
    for name, tensor in frozen.network.trunk.state_dict().items():
        assert torch.equal(weights[f"trunk.{name}"], tensor), name
    validation = trainer.run.split.select(samples, "validation")
    predicted = torch_probabilities(trainer.run, validation).argmax(1)
    labels = np.array([sample.label for sample in validation])
    best = [row for row in trainer.history if row["best"]][-1]
    assert np.mean(predicted == labels) == pytest.approx(best["validation_accuracy"])


def test_only_the_head_is_trained_and_it_learns(head_run):
    trainer = head_run(fusion="cross_attention", epochs=6, learning_rate=0.01)
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    assert not [name for name in before if name.startswith("trunk.")]
    history = go_on(trainer)
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    moved = trainer.model.state_dict()
    assert not torch.equal(moved["head.fusion.query.weight"], before["head.fusion.query.weight"])


@pytest.mark.parametrize("settings", [{}, {"ema": 0.9, "schedule": "cosine", "mixup": 0.2}], ids=["plain", "ema"])
def test_a_head_resumed_ends_as_one_never_interrupted(head_run, frozen, samples, settings):
    whole = head_run(fusion="cross_attention", epochs=3, **settings)
    go_on(whole)
    first = head_run(fusion="cross_attention", epochs=3, **settings)
    first.run_epoch(0)
    go_on(Trainer(first.config, samples, first.run, part=first.part))
    assert first.run.weights_file.read_bytes() == whole.run.weights_file.read_bytes()


def test_cutmix_is_refused(head_run):
    with pytest.raises(UsageError, match="cutmix pastes pictures"):
        head_run(cutmix=0.5)


def test_an_ordinary_training_does_not_go_on_with_a_head(head_run, samples):
    trainer = head_run()
    with pytest.raises(UsageError, match=r"image branch of another run.*dermedge compare"):
        train(trainer.config, samples, trainer.run)
