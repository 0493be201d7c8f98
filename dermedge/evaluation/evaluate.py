"""`dermedge evaluate`: score a run, the trained weights in torch and its model files through the shipped runtime."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dermedge.data.samples import Sample
from dermedge.models.fusion import modalities
from dermedge.statistics.plots import history_plot
from dermedge.training.answers import Answers, labels_of, runtime_answers
from dermedge.training.predictions import TRAINED_WEIGHTS, torch_probabilities
from dermedge.training.run import Run
from dermedge.training.run_names import run_name
from dermedge_runtime import Classifier
from dermedge_runtime.errors import DermedgeError, InputRejected, UsageError
from dermedge_runtime.files import write_json

from .differences import difference
from .evaluation_plots import write_plots, write_reliability
from .evaluation_text import results_text
from .model_files import model_files
from .predictions_table import write_predictions
from .scored import Ask, ask_and_score

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one part of a run's data."""

    part: str
    """validation or test."""
    flips: bool
    """Whether probabilities are the mean over the picture, its mirror images and its half turn."""
    protocol: str
    split_sha256: str
    weights_sha256: str
    results: Mapping[str, dict[str, Any]]
    """What `dermedge.evaluation.figures.figures` gives, by what was scored: the trained weights first, then each model
    file with its device."""
    differences: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    """Of each model file from the trained weights: what `dermedge.evaluation.differences.difference` gives."""

    @property
    def title(self) -> str:
        """What the figures are of, such as "test split, mean of 4 flips"."""
        return f"{self.part} split{', mean of 4 flips' if self.flips else ''}"

    def to_record(self) -> dict[str, Any]:
        """Give what `metrics.json` holds."""
        return {
            "split": self.part,
            **({"flips": True} if self.flips else {}),
            "protocol": self.protocol,
            "split_sha256": self.split_sha256,
            "weights_sha256": self.weights_sha256,
            "results": dict(self.results),
            "differences": dict(self.differences),
        }

    def to_text(self) -> str:
        """Give the tables that `dermedge evaluate` prints."""
        return results_text(self.title, self.results, self.differences)


def evaluate_run(
    run: Run,
    models: Path,
    part: str,
    device: str,
    *,
    data: Path | None = None,
    flips: bool = False,
    without_values: bool = False,
) -> Evaluation:
    """Score one part of a run's data.

    `metrics.json`, `predictions.csv` and the plots are written into the run's folder, if it can be written.

    :param models: folder of model files; those made from the run's weights are scored too. Where there is none, an FP32
        file is made for the occasion, so that the shipped runtime is always among the results. None can be made of a
        run on given embeddings, of which the trained weights alone are scored.
    :param part: validation or test.
    :param device: device of the runtime.
    :param flips: probabilities are the mean over the picture, its mirror images and its half turn; the result says so.
    :param without_values: every result also has `unknown_values`, the figures where clinical values are unknown.
    :raises InputRejected: the split has no such part, or pictures are missing.
    :raises UsageError: flips of a run that reads no picture, or `without_values` of one that reads no
        clinical value.
    """
    config, split = run.config, run.split
    reads = modalities(config.fusion)
    if flips and not reads.image:
        raise UsageError(f"{config.fusion} reads no picture that could be flipped: leave --flips out.")
    if flips and config.on_embeddings:
        raise UsageError("The run reads given embeddings, which cannot be flipped: leave --flips out.")
    if without_values and not reads.clinical:
        raise UsageError(f"{config.fusion} reads no clinical value that could be hidden: leave --without-values out.")
    samples = split.select(run.samples(data), part)
    if not samples:
        raise InputRejected(f"The protocol {config.protocol} has no {part} split. Evaluate with --split test.")
    classifiers = _classifiers(run, models, device)  # first: a device may be absent
    contenders: dict[str, Ask] = {
        TRAINED_WEIGHTS: lambda asked: Answers(torch_probabilities(run, asked, flips=flips)),
        **{
            f"{stem} ({classifier.device})": partial(runtime_answers, classifier, flips=flips)
            for stem, classifier in classifiers.items()
        },
    }
    hidden = run.schema.clinical(config.protocol).names if without_values else None
    answers: dict[str, Answers] = {}
    results: dict[str, dict[str, Any]] = {}
    for name, ask in contenders.items():
        _log.info("%s %s images; %s", len(samples), part, name)
        answers[name], results[name] = ask_and_score(
            ask, samples, run.schema.classes, hidden=hidden, melanoma=run.schema.melanoma
        )
    others = {
        name: difference(answers[name], results[name], answers[TRAINED_WEIGHTS], results[TRAINED_WEIGHTS])
        for name in contenders
        if name != TRAINED_WEIGHTS
    }
    evaluation = Evaluation(part, flips, config.protocol, split.sha256, run.weights_sha256, results, others)
    try:
        _write_files(run, evaluation, samples, answers)
        _log.info("written to %s, %s and %s", run.metrics_file, run.predictions_file.name, run.plots)
    except OSError as error:  # a run on a read-only medium: the figures are worth more than the files
        _log.info("not written: %s: %s", error.filename or run.path, error.strerror or error)
    except DermedgeError as error:  # the history is damaged
        _log.info("not plotted: %s", error)
    return evaluation


def _classifiers(run: Run, models: Path, device: str) -> dict[str, Classifier]:
    """Open the model files of a run, by their names; none where none can be made, because it reads embeddings."""
    if run.config.on_embeddings:
        return {}
    with model_files(run, models) as paths:
        return {path.stem: Classifier(path, device) for path in paths}


def _write_files(run: Run, evaluation: Evaluation, samples: Sequence[Sample], answers: Mapping[str, Answers]) -> None:
    write_json(run.metrics_file, evaluation.to_record())
    write_predictions(run.predictions_file, samples, answers, run.schema.classes)
    config, shown = run.config, list(answers)[-1]
    name = run_name(config.image_branch, config.fusion)
    title = f"{name}, {evaluation.title}, {shown}"
    write_plots(run.plots, labels_of(samples), answers[shown], evaluation.results[shown], title)
    write_reliability(run.plots, labels_of(samples), answers, f"{name}, {evaluation.title}")
    history_plot(run.history_file, f"{name}, {config.protocol} protocol", run.plots / "history.png")
