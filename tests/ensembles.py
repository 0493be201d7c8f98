"""Runs that nobody has trained, and ensembles of them: random weights answer as surely as learned ones do."""

from collections.abc import Sequence
from pathlib import Path

import torch
from quarter_branch import quarter_widths

from dermedge.config import TrainConfig
from dermedge.data.batches.lesion_data import LesionData
from dermedge.data.samples import Sample
from dermedge.data.splits import make_split
from dermedge.training.checkpoint import save_weights
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.train import start_run
from dermedge.training.trained_part import build_model

SURER = 40.0
"""What random scores are multiplied with, so that pictures and patients differ."""


def random_run(folder: Path, data: Path, samples: Sequence[Sample], fusion: str, **settings) -> Run:
    """Write a run of random weights, at 32 px unless told otherwise; `seed` decides them, `split_seed` the split."""
    config = TrainConfig(
        data=str(data),
        fusion=fusion,
        widths={} if fusion == "clinical_only" else quarter_widths(),
        **{"image_size": 32, "split_seed": 0, **settings},
    )
    run = start_run(config, make_split(samples, config.protocol, config.seed_of_split), RunFolder(folder))
    torch.manual_seed(config.seed)
    model = build_model(config, run.schema)
    training = LesionData.load(run.split.select(samples, "train"), run.schema.clinical(config.protocol), config)
    model.fit_clinical(training.numeric, training.categorical, 0.0, anew=True)
    with torch.no_grad():
        model.head.classifier[-1].weight.mul_(SURER)
    save_weights(run.weights_file, model.state_dict())
    return run
