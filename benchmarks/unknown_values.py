"""What an unknown clinical value should be to the network: a category of its own, or the median and the mode.

    dermedge train --data DATA --fusion image_only --image-size 64 ... --run RUN      # once per split
    python benchmarks/unknown_values.py RUN [RUN ...] [--head-seeds 2] [--epochs 10] [--out unknown.json]

For every run of `image_only` (each has the split of its seed), fusion, `--unknown` and `--hide-clinical`, heads are
trained on the run's frozen image branch, as `train --start-from RUN --freeze-image-branch` does it; `--head-seeds`
repeats each with other random numbers on the same split. Scored on the validation split: with the values as the data
have them, with none at all, and without each field. The last lines give category minus impute within a pair of heads
that differ in nothing else: the mean over the pairs and its standard error. Nothing touches the test split.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from dermedge.data.cache.feature_cache import FeatureData, FrozenTrunk, load_feature_data
from dermedge.statistics.metrics import score
from dermedge.training.checkpoint import save_weights
from dermedge.training.head_training import HeadOnFeatures
from dermedge.training.logits import predict_logits
from dermedge.training.predictions import trained_model
from dermedge.training.run import Run
from dermedge.training.run_folder import RunFolder
from dermedge.training.start_weights import start_weights
from dermedge.training.train import Trainer, go_on, start_run

FIGURES = ("balanced_accuracy", "accuracy", "auc", "mel")
_VIEWS = 8


@dataclass(frozen=True)
class _Heads(HeadOnFeatures):
    """A head whose random numbers are not those of its split, so that the views of the pictures stay the same."""

    split_seed: int

    def load(self, samples, split_part) -> FeatureData:
        config = replace(self.config, seed=self.split_seed)
        clinical = self.schema.clinical(self.config.protocol)
        return load_feature_data(
            self.trunk, samples, clinical, config, self.trunk.views if split_part == "train" else 0
        )


def head(trunk: Run, frozen: FrozenTrunk, target: RunFolder, epochs: int, **settings) -> dict[str, dict]:
    """Train one head unless it is there, and score its best weights."""
    base = trunk.config
    config = replace(base, epochs=epochs, freeze_image_branch=True, feature_views=_VIEWS, **settings)
    schema, split, samples = trunk.schema, trunk.split, trunk.samples()
    start = start_weights(trunk.path, config, schema, split)
    config = replace(config, start_from=start.sha256)
    if not target.config_file.is_file():
        save_weights(target.start_file, start.tensors)
        start_run(config, split, target, schema, allow_missing_images=True)
    run = Run.open(target.path)
    trainer = Trainer(config, samples, run, part=_Heads(config, schema, frozen, base.seed))
    go_on(trainer)
    whole = trained_model(run)
    best = trainer.part.new_network()
    best.load_state_dict({k: v for k, v in whole.state_dict().items() if not k.startswith("trunk.")})
    device = torch.device("cpu")
    return {
        name: _figures(predict_logits(best, data, device), data.labels, schema)
        for name, data in _hidden(trainer.validation, schema.clinical(config.protocol))
    }


def _hidden(data: FeatureData, fields) -> Iterator[tuple[str, FeatureData]]:
    numbers, words = np.full_like(data.numeric, np.nan), np.full_like(data.categorical, -1)
    yield "as given", data
    yield "none", replace(data, numeric=numbers, categorical=words)
    for column, field in enumerate(fields.numeric):
        chosen = np.arange(numbers.shape[1]) == column
        yield f"without {field.name}", replace(data, numeric=np.where(chosen, numbers, data.numeric))
    for column, field in enumerate(fields.categorical):
        chosen = np.arange(words.shape[1]) == column
        yield f"without {field.name}", replace(data, categorical=np.where(chosen, words, data.categorical))


def _figures(logits: torch.Tensor, labels, schema) -> dict[str, float]:
    found = score(labels, torch.softmax(logits, dim=1).numpy(), schema.classes)
    named = {"auc": found["macro"]["auc"], "mel": found["per_class"][schema.melanoma]["recall"]}
    return {name: named.get(name, found.get(name)) for name in FIGURES}


def report(rows: list[dict]) -> str:
    """Means over splits and seeds, then the paired differences."""
    lines = [f"{'fusion':<16}{'hide':>5} {'unknown':<9} {'values':<13}" + "".join(f"{name:>19}" for name in FIGURES)]
    means, pairs = defaultdict(list), defaultdict(dict)
    for row in rows:
        for values, figures in row["scores"].items():
            vector = [figures[name] for name in FIGURES]
            means[row["fusion"], row["hide"], row["unknown"], values].append(vector)
            pairs[row["hide"], values].setdefault((row["run"], row["seed"], row["fusion"]), {})[row["unknown"]] = vector
    for (fusion, hide, unknown, values), found in sorted(means.items()):
        mean, spread = np.mean(found, axis=0), np.std(found, axis=0, ddof=len(found) > 1)
        cells = "".join(f"{m:>11.3f} ({s:.3f})" for m, s in zip(mean, spread, strict=True))
        lines.append(f"{fusion:<16}{hide:>5} {unknown:<9} {values:<13}{cells}")
    lines.append("category - impute, mean of the pairs and its standard error")
    for (hide, values), by_head in sorted(pairs.items()):
        gaps = [np.subtract(p["category"], p["impute"]) for p in by_head.values() if len(p) == 2]
        if gaps:
            mean, error = np.mean(gaps, axis=0), np.std(gaps, axis=0, ddof=len(gaps) > 1) / np.sqrt(len(gaps))
            cells = "".join(f"{m:>+11.3f} ({e:.3f})" for m, e in zip(mean, error, strict=True))
            lines.append(f"{f'{len(gaps)} pairs':<16}{hide:>5} {'':<9} {values:<13}{cells}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="Runs of image_only.")
    parser.add_argument("--fusions", default="concat,cross_attention")
    parser.add_argument("--hide", default="0,0.15", help="Values of --hide-clinical.")
    parser.add_argument("--head-seeds", default=2, type=int)
    parser.add_argument("--epochs", default=10, type=int)
    parser.add_argument("--heads", default=Path("runs/unknown"), type=Path, help="Where the heads' run folders go.")
    parser.add_argument("--out", default=Path("unknown.json"), type=Path)
    chosen = parser.parse_args()
    rows = []
    grid = itertools.product(
        range(chosen.head_seeds), chosen.runs, chosen.fusions.split(","), map(float, chosen.hide.split(","))
    )
    for seed, path, fusion, hide in grid:
        trunk = Run.open(path)
        frozen = FrozenTrunk(trained_model(trunk), trunk.weights_sha256, _VIEWS, chosen.heads / path.name / "features")
        for unknown in ("impute", "category"):
            number = trunk.config.seed + 1000 * seed
            target = RunFolder(chosen.heads / path.name / f"{fusion}-{unknown}-{hide:g}-{seed}")
            settings = {"fusion": fusion, "unknown": unknown, "hide_clinical": hide, "seed": number}
            scores = head(trunk, frozen, target, chosen.epochs, **settings)
            rows.append({"run": path.name, "seed": seed, "hide": hide, "fusion": fusion, "unknown": unknown})
            rows[-1]["scores"] = scores
            chosen.out.write_text(json.dumps(rows, indent=1))
            print(target.path.name, path.name, {k: round(v["balanced_accuracy"], 3) for k, v in scores.items()})
    print(report(rows))


if __name__ == "__main__":
    main()
