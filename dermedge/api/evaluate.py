"""`dermedge.evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dermedge.require import extras
from dermedge_runtime.devices.providers import DEVICES

from .names import check_known, path_of, run_of

if TYPE_CHECKING:
    from dermedge.evaluation.evaluate import Evaluation
    from dermedge.training.run import Run

MODELS = Path("models")
"""Where model files lie unless they are told otherwise."""
PARTS = ("test", "validation")


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

    `metrics.json` and the plots are written into the run's folder, if it can be written.

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
