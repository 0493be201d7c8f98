"""Selected features: ranked on the training photographs alone, and nothing to the head from then on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dermedge.config import TrainConfig
from dermedge.data.batches.lesion_data import LesionData
from dermedge.data.ham10000 import HAM10000
from dermedge.models.classifier import FusedClassifier
from dermedge.training.checkpoint import save_weights
from dermedge.training.feature_selection import check_selection, importance
from dermedge.training.head_training import head_on_start_weights
from dermedge.training.predictions import trained_model
from dermedge.training.processes import ALONE
from dermedge.training.start_weights import start_weights
from dermedge.training.train import Trainer, train
from dermedge_export.graph.explain_graph import ExplainedHead
from dermedge_export.graph.merged_layers import with_merged_layers
from dermedge_runtime.errors import UsageError

SHARE = 0.25


@pytest.fixture
def started(new_run, samples):
    """Start a run that selects, from a trained one; gives its settings, folder and start weights."""
    config, earlier = new_run(fusion="image_only")
    train(config, samples, earlier)

    def make(**settings):
        wanted = {"fusion": "concat", "select_features": SHARE, **settings}
        start = start_weights(earlier.path, replace(config, **wanted), HAM10000, earlier.split)
        made, run = new_run(start_from=start.sha256, **wanted)
        save_weights(run.start_file, start.tensors)
        return made, run, start

    return make


def features_of(network: FusedClassifier, config: TrainConfig, samples: list) -> tuple[np.ndarray, np.ndarray]:
    data = LesionData.load(samples, HAM10000.clinical(config.protocol), config)
    (batch,) = data.batches(np.arange(len(data)), len(data), torch.device("cpu"))
    with torch.no_grad():
        return network.eval().see(batch.image).numpy(), data.labels


def test_importance_is_f_of_an_analysis_of_variance() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 6)
    features = rng.normal(size=(18, 4)).astype(np.float32)
    features[:, 1] += 3 * labels
    features[:, 2] = 7
    found = importance(features, labels)
    groups = [features[labels == label, 1].astype(float) for label in range(3)]
    total = features[:, 1].astype(float).mean()
    between = sum(6 * (group.mean() - total) ** 2 for group in groups) / 2
    within = sum(((group - group.mean()) ** 2).sum() for group in groups) / 15
    assert found[1] == pytest.approx(between / within) and found.argmax() == 1
    assert found[2] == 0 and np.isfinite(found).all()


def test_the_best_on_training_are_kept_and_stay_kept(started, samples) -> None:
    config, run, _ = started(ema=0.9)
    trainer = Trainer(config, samples, run)
    image = trainer.model.head.image
    expected, labels = features_of(trainer.model, config, run.split.select(samples, "train"))
    best = np.argsort(-importance(expected, labels), kind="stable")[: int(SHARE * expected.shape[1])]
    assert sorted(np.flatnonzero(image.kept.numpy())) == sorted(best) and 0 < len(best) < expected.shape[1]
    every, all_labels = features_of(trainer.model, config, samples)
    other = np.argsort(-importance(every, all_labels), kind="stable")[: len(best)]
    assert set(other) != set(best), "those of validation and test would have chosen others"
    train(config, samples, run)
    ended = trained_model(run)
    assert torch.equal(ended.head.image.kept, image.kept)


def test_the_rest_is_nothing_to_answer_and_explanation_also_after_merging(started, samples) -> None:
    config, run, _ = started()
    train(config, samples, run)
    model = trained_model(run).eval()
    merged = with_merged_layers(model)
    left_out = model.head.image.kept == 0
    pooled, values = torch.rand(2, len(left_out)), torch.rand(2, model.head.clinical[0].in_features)
    changed = torch.where(left_out, pooled + 5, pooled)
    target = torch.tensor([4, 0], dtype=torch.int32)
    whole, short = ExplainedHead(model.head, 4), ExplainedHead(merged.head, 4)
    for one, other in zip(whole(pooled, values, target), short(changed, values, target), strict=True):
        torch.testing.assert_close(one, other)
    gradient = short(pooled, values, target)[1]
    assert not gradient[:, left_out].any() and gradient[:, ~left_out].any()
    assert merged.head.image.kept is None and model.head.image.kept is not None


def test_a_head_on_frozen_features_selects_too_and_a_further_training_keeps_the_selection(started, samples) -> None:
    config, run, _ = started(freeze_image_branch=True, feature_views=1)
    trainer = Trainer(config, samples, run, part=head_on_start_weights(config, run))
    first = trainer.data.features[0]
    best = np.argsort(-importance(np.asarray(first), trainer.data.labels), kind="stable")[: int(SHARE * first.shape[1])]
    assert sorted(np.flatnonzero(trainer.model.head.image.kept.numpy())) == sorted(best)
    train(config, samples, run)
    ended = trained_model(run)
    same = start_weights(run.path, config, HAM10000, run.split)
    assert torch.equal(same.tensors["head.image.kept"], ended.head.image.kept)
    save_weights(run.start_file, same.tensors)
    again = Trainer(replace(config, seed=config.seed), samples, run, part=head_on_start_weights(config, run))
    assert torch.equal(again.model.head.image.kept, ended.head.image.kept)
    for share in (0.0, 0.5):
        other = start_weights(run.path, replace(config, select_features=share), HAM10000, run.split)
        assert "head.image.kept" not in other.tensors and "head.image.0.weight" in other.tensors


def test_features_of_an_untrained_branch_are_not_selected(new_run, samples) -> None:
    config, run = new_run(select_features=0.5)
    with pytest.raises(UsageError, match="mean something already: give --pretrained or --start-from"):
        Trainer(config, samples, run)  # as a comparison begins a training
    with pytest.raises(UsageError, match="mean something already: give --pretrained or --start-from"):
        check_selection(config, ALONE)
    check_selection(replace(config, start_from="0" * 64), ALONE)
