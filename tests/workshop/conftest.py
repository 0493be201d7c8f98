"""Fixtures of the training tests: samples of the generated data, a narrow trunk, runs made to measure."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from dermedge.config import TrainConfig
from dermedge.data.ham10000 import read_samples
from dermedge.data.samples import Sample
from dermedge.data.splits import make_split
from dermedge.models.branches import dermiresnet
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.train import start_run

NARROW = (8, 8, 16, 16)


@pytest.fixture(scope="session")
def samples(synthetic_data: Path) -> list[Sample]:
    return read_samples(synthetic_data)


@pytest.fixture
def narrow_trunk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real trunk with a 32nd of its channels, so that an epoch takes milliseconds."""
    monkeypatch.setattr(dermiresnet, "STAGE_CHANNELS", NARROW)


@pytest.fixture
def new_run(
    samples: list[Sample], synthetic_data: Path, tmp_path: Path, narrow_trunk: None
) -> Callable[..., tuple[TrainConfig, Run]]:
    """Start a run (2 epochs of 2 steps at 32 px on a narrow trunk, unless told otherwise) without training it."""
    numbers = count()
    defaults = {"data": str(synthetic_data), "image_size": 32, "epochs": 2, "per_class": 4, "batch_size": 14}

    def make(**settings) -> tuple[TrainConfig, Run]:
        config = TrainConfig(**{**defaults, **settings})
        folder = RunFolder(tmp_path / f"run-{next(numbers)}")
        return config, start_run(config, make_split(samples, config.protocol, config.seed), folder)

    return make
