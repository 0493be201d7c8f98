"""`dermedge evaluate --model`: score a model file on any data set, through the shipped runtime and without a run."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from dermedge.data.schema import DataSchema
from dermedge.training.answers import labels_of, runtime_answers
from dermedge_runtime import Classifier
from dermedge_runtime.errors import UsageError
from dermedge_runtime.files import write_json

from .evaluation_plots import write_plots, write_reliability
from .evaluation_text import results_text
from .other_data import OtherData, read_other_data
from .predictions_table import FILE, write_predictions
from .scored import ask_and_score

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FileEvaluation:
    """Figures of one model file on a data set."""

    model: str
    """Name of the file."""
    model_sha256: str
    device: str
    """That really ran."""
    flips: bool
    """Whether probabilities are the mean over the picture, its mirror images and its half turn."""
    data: OtherData = field(repr=False)
    """What was scored, under the model's names, and what was left out."""
    seen_in_training: bool
    """Whether the file was trained on data of this name, so that the figures can flatter it."""
    scores: Mapping[str, Any]
    """What `dermedge.evaluation.figures.figures` gives."""

    @property
    def contender(self) -> str:
        """Name of the file and its device, as the results have it."""
        return f"{Path(self.model).stem} ({self.device})"

    @property
    def title(self) -> str:
        """What the figures are of, such as "PAD-UFES-20, mean of 4 flips"."""
        return f"{self.data.schema.name}{', mean of 4 flips' if self.flips else ''}"

    def to_record(self) -> dict[str, Any]:
        """Give what `metrics.json` holds."""
        return {
            "model": self.model,
            "model_sha256": self.model_sha256,
            **({"flips": True} if self.flips else {}),
            "data": self.data.to_record(),
            "seen_in_training": self.seen_in_training,
            "results": {self.contender: dict(self.scores)},
        }

    def to_text(self) -> str:
        """Give what `dermedge evaluate --model` prints: what the data became for the model, and the tables."""
        told = self.data.to_text()
        if self.seen_in_training:
            told += (
                "\nThe file was trained on data of this name: pictures of its training are among these, and the figures"
                " flatter it."
            )
        return f"{told}\n\n{results_text(self.title, {self.contender: self.scores}, {})}"


def evaluate_file(
    path: Path,
    folder: Path | None,
    schema: DataSchema,
    *,
    classes: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    device: str = "cpu",
    flips: bool = False,
    without_values: bool = False,
    allow_missing_images: bool = False,
    out: Path | None = None,
) -> FileEvaluation:
    """Score a model file on a data set; with `out`, write `metrics.json`, `predictions.csv` and `plots/` there.

    :param classes: as `read_other_data`; so are `fields` and `allow_missing_images`.
    :param flips: probabilities are the mean over the picture, its mirror images and its half turn; the result says so.
    :param without_values: the scores also have `unknown_values`, the figures where clinical values are unknown.
    :raises UsageError: flips of a file that reads no picture, `without_values` of one that reads no clinical value, an
        `out` that is a file, or as `read_other_data`.
    :raises InputRejected: as `read_other_data`, or a picture that cannot be read.
    :raises ModelFileError: no file there, or no model of ours; DeviceUnavailable where the device cannot run it.
    :raises OSError: `out` cannot be written.
    """
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out takes a folder, and {out} is a file.")
    classifier = Classifier(path, device)
    spec = classifier.spec
    if flips and spec.image is None:
        raise UsageError(f"{classifier.name} reads no picture that could be flipped: leave --flips out.")
    if without_values and not spec.clinical.names:
        raise UsageError(f"{classifier.name} reads no clinical value that could be hidden: leave --without-values out.")
    data = read_other_data(
        folder, schema, spec, classes=classes, fields=fields, allow_missing_images=allow_missing_images
    )
    samples = list(data.samples)
    _log.info("%s pictures of %s; %s (%s)", len(samples), schema.name, classifier.name, classifier.device)
    answers, scores = ask_and_score(
        partial(runtime_answers, classifier, flips=flips),
        samples,
        spec.classes,
        hidden=tuple(data.fields.values()) if without_values else None,
        melanoma=data.melanoma,
    )
    same = spec.training.get("schema") == schema.name
    found = FileEvaluation(classifier.name, classifier.sha256, classifier.device, flips, data, same, scores)
    if out is not None:
        write_predictions(out / FILE, samples, {found.contender: answers}, spec.classes)
        write_plots(out / "plots", labels_of(samples), answers, scores, f"{found.contender}, {found.title}")
        write_reliability(out / "plots", labels_of(samples), {found.contender: answers}, found.title)
        write_json(out / "metrics.json", found.to_record())
        _log.info("written to %s", out)
    return found
