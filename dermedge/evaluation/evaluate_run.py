"""Evaluate a run: the trained weights in torch, and its model files through the shipped runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermedge.models.fusion import fusion_class
from dermedge.statistics.metrics import score
from dermedge.statistics.plots import confusion_plot, history_plot, roc_plot
from dermedge.training.predictions import TRAINED_WEIGHTS, labels_of, runtime_probabilities, torch_probabilities
from dermedge.training.run_folder import RunFolder
from dermedge_export.pipeline import write_unmeasured
from dermedge_runtime import Classifier
from dermedge_runtime.errors import InputRejected, UsageError
from dermedge_runtime.files import write_json
from dermedge_runtime.model.exported_models import models_of


def evaluate_run(
    run: RunFolder,
    models: Path,
    part: str,
    device: str,
    *,
    data: Path | None = None,
    flips: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Score one part of a run's data; write `metrics.json` and the plots into the run's folder.

    :param models: folder of model files; those made from the run's weights are scored too. Where there is none, an FP32
        file is made for the occasion, so that the shipped runtime is always among the results.
    :param part: validation or test.
    :param device: device of the runtime.
    :param flips: probabilities are the mean over the picture, its mirror images and its half turn; the record says so.
    :return: the record, which is also written where the run's folder can be.
    :raises InputRejected: the split has no such part, or pictures are missing.
    :raises UsageError: flips of a run that reads no picture.
    """
    config, split = run.config(), run.split()
    if flips and not fusion_class(config.fusion).uses_image:
        raise UsageError(f"{config.fusion} reads no picture that could be flipped: leave --flips out.")
    samples = split.select(run.samples(data, log), part)
    if not samples:
        raise InputRejected(f"The protocol {config.protocol} has no {part} split. Evaluate with --split test.")
    labels = labels_of(samples)
    with model_files(run, models, log) as paths:
        classifiers = {path.stem: Classifier(path, device) for path in paths}  # first: a device may be absent
    log(f"{len(samples)} {part} images; trained weights in torch")
    outputs = {TRAINED_WEIGHTS: torch_probabilities(run, samples, flips=flips)}
    for stem, classifier in classifiers.items():
        log(f"{classifier.name} in the runtime on {classifier.device}")
        outputs[f"{stem} ({classifier.device})"] = runtime_probabilities(classifier, samples, flips=flips)
    results = {name: score(labels, probabilities, run.schema().classes) for name, probabilities in outputs.items()}
    record = {
        "split": part,
        **({"flips": True} if flips else {}),
        "protocol": config.protocol,
        "split_sha256": split.sha256,
        "weights_sha256": run.weights_sha256(),
        "results": results,
    }
    try:
        _write_files(run, record, labels, outputs)
        log(f"written to {run.metrics_file} and {run.plots}")
    except OSError as error:  # a run on a read-only medium: the figures are worth more than the files
        log(f"not written: {error.filename or run.path}: {error.strerror or error}")
    return record


def _write_files(
    run: RunFolder, record: dict[str, Any], labels: NDArray[np.int64], outputs: Mapping[str, NDArray[np.float32]]
) -> None:
    write_json(run.metrics_file, record)
    config, results = run.config(), record["results"]
    shown = next(reversed(results))
    title = f"{config.fusion}, {part_title(record)}, {shown}"
    confusion_plot(results[shown], title, run.plots / "confusion_matrix.png")
    roc_plot(labels, outputs[shown], results[shown], title, run.plots / "roc.png")
    history_plot(run.history_file, f"{config.fusion}, {config.protocol} protocol", run.plots / "history.png")


def part_title(record: Mapping[str, Any]) -> str:
    """Say what an evaluation's figures are of, such as "test split, mean of 4 flips"."""
    return f"{record['split']} split{', mean of 4 flips' if record.get('flips') else ''}"


@contextmanager
def model_files(
    run: RunFolder, models: Path, log: Callable[[str], None], *, precision: str | None = None
) -> Iterator[list[Path]]:
    """Give the model files made from a run's weights; where there is none, a temporary FP32 file.

    :param precision: only files of this precision, and only those with explanations.
    """
    found = models_of(run.weights_sha256(), models, precision)
    if found:
        yield found
        return
    kind = "model file" if precision is None else f"explained {precision.upper()} file"
    log(f"no {kind} of this run in {models}: a temporary FP32 file is made")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{run.config().fusion}-fp32.onnx"
        write_unmeasured(run, path)
        yield [path]
