"""Progressive sizes: which epoch sees which size, and that only the training does."""

from dataclasses import replace

import pytest
import torch

from dermedge.config import TrainConfig
from dermedge.training.growing_pictures import check_start_size, size_in
from dermedge.training.train import Trainer
from dermedge_runtime.errors import UsageError

LITE = TrainConfig("", image_branch="efficientnet_lite0", image_size=224, start_size=96, epochs=9)


def test_sizes_grow_in_steps_of_the_stride_and_the_last_third_is_full():
    assert [size_in(epoch, LITE, 32) for epoch in range(9)] == [96, 96, 128, 160, 160, 192, 224, 224, 224]
    assert {size_in(epoch, replace(LITE, start_size=0), 32) for epoch in range(9)} == {224}
    two = replace(LITE, epochs=2)
    assert [size_in(epoch, two, 32) for epoch in range(2)] == [96, 224]
    assert size_in(0, replace(LITE, start_size=100), 32) == 100, "a branch that takes any size starts where it is told"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"start_size": 224}, r"^--start-size 224 must be smaller than --image-size, which is 224\.$"),
        ({"start_size": 100}, "^--start-size 100 does not suit efficientnet_lite0, .* take 96 or 128"),
        ({"epochs": 1}, "^--start-size needs --epochs 2 or more"),
        ({"fusion": "clinical_only"}, "^--start-size is about pictures, and clinical_only reads none"),
        ({"freeze_image_branch": True}, "--freeze-image-branch trains on features: leave one out"),
    ],
    ids=str,
)
def test_a_start_size_that_makes_no_sense_is_one_sentence(change, sentence):
    check_start_size(LITE)
    with pytest.raises(UsageError, match=sentence):
        check_start_size(replace(LITE, **change))


def test_the_training_sees_the_size_of_its_epoch_and_validation_the_full_one(new_run, samples):
    config, run = new_run(fusion="image_only", image_size=64, start_size=32, epochs=2)
    trainer, seen = Trainer(config, samples, run), []
    score = trainer.score
    trainer.score = lambda visual, clinical: (seen.append(visual.shape[2:]), score(visual, clinical))[1]
    trainer.run_epoch(0)
    assert set(seen) == {torch.Size((32, 32))}
    assert trainer.validation.pixels.shape[1:3] == (64, 64)
    seen.clear()
    trainer.run_epoch(1)
    assert set(seen) == {torch.Size((64, 64))}
