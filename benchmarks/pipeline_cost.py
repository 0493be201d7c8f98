"""What does the data pipeline cost? An epoch's steps with it, against the same steps on batches already in memory.

    python benchmarks/pipeline_cost.py --data path/to/ham10000 [--image-size 128] [--precision fp32]

Also: how long a second start takes to have the decoded pictures.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from dermedge.bench.bench import take_turns
from dermedge.config import TrainConfig
from dermedge.data.batches.augment import augment
from dermedge.data.batches.lesion_data import Batch, LesionData, balanced_epoch
from dermedge.data.ham10000 import HAM10000, read_samples
from dermedge.data.splits import make_split
from dermedge.training.trained_part import build_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    config = TrainConfig(str(arguments.data), image_size=arguments.image_size, precision=arguments.precision)
    started = time.perf_counter()
    samples = read_samples(arguments.data)
    data = LesionData.load(
        make_split(samples, "grouped", 0).select(samples, "train"), HAM10000.clinical("grouped"), config
    )
    ready_s = time.perf_counter() - started
    device = torch.device("cpu")
    model = build_model(config, HAM10000).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.Adam(model.parameters(), config.learning_rate)
    order = balanced_epoch(data.labels, 6000, np.random.default_rng(0))
    batches = data.batches(order, config.batch_size, device)
    ready = next(batches)
    ready_image = augment(ready.image, config.augmentation)

    def step(image: torch.Tensor, batch: Batch) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
            loss = functional.cross_entropy(model(image, batch.numeric, batch.categorical), batch.label)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    def with_pipeline() -> None:
        batch = next(batches)
        step(augment(batch.image, config.augmentation), batch)

    turns = take_turns({"bare": lambda: step(ready_image, ready), "with pipeline": with_pipeline}, arguments.rounds)
    timed = {name: round(1000 * statistics.median(seconds), 1) for name, seconds in turns.items()}
    result = {
        "image_size": config.image_size,
        "batch": config.batch_size,
        "precision": config.precision,
        "median_ms_per_step": timed,
        "pipeline_share": round(timed["with pipeline"] / timed["bare"] - 1, 4),
        "data_ready_s": round(ready_s, 2),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
