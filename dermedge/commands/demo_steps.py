"""The whole main job on generated pictures: train, evaluate, export three precisions, infer, bench."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dermedge.bench.bench import benchmark
from dermedge.bench.report import bench_text
from dermedge.config import TrainConfig
from dermedge.data.ham10000 import read_samples
from dermedge.data.splits import check_leaks, make_split
from dermedge.data.synthetic import write_dataset
from dermedge.evaluation.evaluate import evaluate_run
from dermedge.training.run_folder import RunFolder
from dermedge.training.train import start_run, train
from dermedge_export.check.parity import Limits
from dermedge_export.pipeline import PRECISIONS, export_model
from dermedge_runtime import Classifier
from dermedge_runtime.commands.prediction_text import prediction_text
from dermedge_runtime.files import write_json

from .demo_folder import DemoFolder

_log = logging.getLogger(__name__)
LESIONS_PER_CLASS = 60
# Validation is a hundred pictures: at the usual limits one of them could stop the demo.
_LIMITS = Limits(agreement=0.95, balanced_accuracy_drop=0.03, heatmap_correlation=0.9)


def run_demo(folder: Path, epochs: int, show: Callable[[str], None]) -> None:
    """Run every step below `folder`, in `data`, `runs` and `models`, replacing what an earlier demo left.

    :param show: receives results.
    :raises UsageError: the folder holds data, a run or models that no demo made.
    """
    data, models = folder / "data", folder / "models"
    run_folder = RunFolder(folder / "runs" / "cross_attention")
    table, figures = data / "HAM10000_metadata.csv", folder / "bench.json"
    targets = {precision: models / f"cross_attention-{precision}.onnx" for precision in PRECISIONS}
    own = DemoFolder(folder)
    own.claim([data, run_folder.path.parent, models], [table, run_folder.config_file, *targets.values(), figures])
    # Decoded pictures too, unless the user has chosen a place for them.
    os.environ.setdefault("DERMEDGE_CACHE", str(folder / "cache"))
    _log.info("1/5 generate pictures in %s", data)
    if not table.is_file():
        write_dataset(data, LESIONS_PER_CLASS)
        own.note(table)
    samples = read_samples(data)
    _log.info("2/5 train on %d pictures", len(samples))
    config = TrainConfig(
        str(data.resolve()), epochs=epochs, image_size=128, per_class=120, batch_size=32, schedule="cosine"
    )
    split = make_split(samples, config.protocol, config.seed_of_split)
    check_leaks(split, samples)
    run_folder.clear()
    run = start_run(config, split, run_folder)
    own.note(run.config_file)
    train(config, samples, run)
    _log.info("3/5 evaluate and export")
    reports = []
    for precision, target in targets.items():
        reports.append(export_model(run, samples, precision, target, limits=_LIMITS))
        own.note(target)
    show(evaluate_run(run, models, "test", "cpu").to_text() + "\n")
    for report in reports:
        show(f"{report.path}: {report.bytes / 1e6:.1f} MB, {report.parity.summary()}")
    _log.info("4/5 infer one image of the test split")
    sample = split.select(samples, "test")[0]
    classifier = Classifier(targets["int8"], "cpu")
    patient: dict[str, Any] = {name: sample.clinical.get(name) for name in classifier.spec.clinical.names}
    show("\n" + prediction_text(classifier.predict(sample.path, **patient), classifier.spec) + "\n")
    _log.info("5/5 bench")
    record = benchmark([report.path for report in reports], ("cpu",), (1,), run_path=run.path, rounds=20)
    write_json(figures, record)
    own.note(figures)
    show(bench_text(record))
    _log.info("Generated pictures: these figures say that the software works, nothing about medicine.")
