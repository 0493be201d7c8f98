"""`dermedge.evaluate` and `dermedge.evaluate_file`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge.require import extras
from dermedge_runtime.devices.providers import DEVICES

from .names import check_known, path_of, run_of

if TYPE_CHECKING:
    from dermedge.evaluation.evaluate import Evaluation
    from dermedge.evaluation.evaluate_file import FileEvaluation
    from dermedge.training.run import Run

MODELS = Path("models")
"""Where model files lie unless they are told otherwise."""
PARTS = ("test", "validation")
SCHEMA = "ham10000"
"""Of a data set that a model file is scored on, unless it is told otherwise."""


def evaluate(
    run: Run | Path | str,
    *,
    models: Path | str = MODELS,
    split: str = "test",
    device: str = "cpu",
    data: Path | str | None = None,
    flips: bool = False,
    without_values: bool = False,
) -> Evaluation:
    """Score the trained weights of a run in torch, and every model file made from them in the shipped runtime.

    ::

        for name, scores in dermedge.evaluate("runs/gated").results.items():
            print(name, scores["balanced_accuracy"], scores["per_class"]["mel"]["recall"])

    `metrics.json`, `predictions.csv` and the plots are written into the run's folder, if it can be written.

    :param run: opened, or its folder.
    :param models: folder of model files; where none is of this run, a temporary FP32 file is made.
    :param split: the part to score, test or validation.
    :param device: where model files run, as `Classifier` takes it.
    :param data: data folder; by default the run's own.
    :param flips: score the mean over each picture, its mirror images and its half turn.
    :param without_values: every result also has `unknown_values`: accuracy, balanced accuracy and melanoma recall at
        90 % specificity, with intervals by lesion, where no clinical value is known, and where each alone is not.
    :return: figures of every contender: the trained weights first, then the model files.
    :raises UsageError: an unknown part or device, no path where one belongs, flips of a run that reads no picture, or
        `without_values` of one that reads no clinical value.
    :raises InputRejected: the split has no such part, or pictures are missing.
    :raises DeviceUnavailable: the device cannot run model files.
    :raises DermedgeError: no run there, no weights yet, or a package is not installed.
    """
    check_known("part of the split", split, PARTS)
    check_known("device", device, DEVICES)
    with extras("export"):
        from dermedge.training.run import opened

        opened_run = opened(run_of("run", run))  # first: the imports of an evaluation take seconds
        from dermedge.evaluation.evaluate import evaluate_run
    folder = None if data is None else path_of("data", data)
    return evaluate_run(
        opened_run, path_of("models", models), split, device, data=folder, flips=flips, without_values=without_values
    )


def evaluate_file(
    model: Path | str,
    data: Path | str,
    *,
    schema: str = SCHEMA,
    classes: Mapping[str, str] | None = None,
    fields: Mapping[str, str] | None = None,
    device: str = "cpu",
    flips: bool = False,
    without_values: bool = False,
    allow_missing_images: bool = False,
    out: Path | str | None = None,
) -> FileEvaluation:
    """Score a model file on any data set through the shipped runtime; no run is needed.

    ::

        names = {"ACK": "akiec", "BCC": "bcc", "MEL": "mel", "NEV": "nv", "SEK": "bkl"}
        found = dermedge.evaluate_file("models/x-int8.onnx", "pad_ufes_20", schema="pad_ufes_20", classes=names)
        print(found.scores["balanced_accuracy"], found.data.left_out)

    :param model: the file.
    :param data: folder of the data set.
    :param schema: of the data set: a shipped one by name, or the path of a TOML file.
    :param classes: the data set's codes and the model's; photographs of every other class are left out, and counted.
        None: codes that are equal.
    :param fields: the data set's clinical fields and the model's, where their names differ; equal names are one field.
        What the data set does not have is unknown, and so are words outside the model's vocabulary, which are counted.
    :param device: as `Classifier` takes it.
    :param flips: score the mean over each picture, its mirror images and its half turn.
    :param without_values: the scores also have `unknown_values`, as those of `evaluate`.
    :param allow_missing_images: leave rows out whose picture is absent, and log how many.
    :param out: folder for `metrics.json`, `predictions.csv` and `plots/`; None: nothing is written.
    :raises UsageError: an unknown device, class or field, no class in common, flips of a file that reads no picture,
        `without_values` of one that reads no clinical value, or an `out` that is a file.
    :raises InputRejected: the schema or the data cannot be read, or hold no photograph of these classes.
    :raises ModelFileError: no file there, or no model of ours.
    :raises DeviceUnavailable: the device cannot run it.
    :raises DermedgeError: a package is not installed.
    """
    check_known("device", device, DEVICES)
    path, folder = path_of("model", model), path_of("data", data)
    target = None if out is None else path_of("out", out)
    with extras():
        from dermedge.data.schema_file import load_schema
        from dermedge.evaluation import evaluate_file as scored
    return scored.evaluate_file(
        *(path, folder, load_schema(schema)),
        classes=classes,
        fields=fields,
        device=device,
        flips=flips,
        without_values=without_values,
        allow_missing_images=allow_missing_images,
        out=target,
    )
