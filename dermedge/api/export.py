"""`dermedge.export`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermedge.require import extras
from dermedge.training.run_names import run_name
from dermedge_runtime.errors import UsageError
from dermedge_runtime.files import refuse_overwriting, require_folder_place

from .evaluate import MODELS
from .names import check_known, check_type, path_of, run_of

if TYPE_CHECKING:
    from dermedge.training.run import Run
    from dermedge_export.check.parity import Limits
    from dermedge_export.engine.target import EngineTarget
    from dermedge_export.pipeline import ExportedModel

PRECISIONS = ("fp32", "fp16", "int8")
TARGETS = ("cpu", "rtx")


def export(
    run: Run | Path | str,
    precision: str = "fp32",
    *,
    target: str | None = None,
    path: Path | str | None = None,
    models: Path | str = MODELS,
    data: Path | str | None = None,
    explanations: bool = True,
    limits: Limits | None = None,
    sensitivity: bool = False,
    any_size: bool = False,
    ig_steps: int | None = None,
    calibration: bool = True,
    engine: EngineTarget | None = None,
) -> ExportedModel:
    """Write one self-describing ONNX file, after comparing it with the trained weights on held-back photographs.

    ::

        model = dermedge.export("runs/gated", precision="int8")
        print(model.path, model.parity.agreement)
        print(dermedge_runtime.Classifier(model.path).predict("lesion.jpg", age=55, site="back").label)

    :param run: opened, or its folder.
    :param precision: fp32, fp16 or int8.
    :param target: what an INT8 file is quantised for, cpu or rtx; by default cpu.
    :param path: file to write; by default `file_name` of the run, in `models`.
    :param models: folder of that file.
    :param data: data folder; by default the run's own.
    :param explanations: with heat map and clinical relevance among the outputs.
    :param limits: what the file may change at most; by default `DEFAULT_LIMITS` of the precision.
    :param sensitivity: measure what quantising each layer alone changes; for INT8.
    :param any_size: the graph takes pictures of any height and width and resizes them itself, as Pillow does.
    :param ig_steps: of the integrated gradients behind the clinical relevance, 1 to 1,000; by default 20.
    :param calibration: calibrated probabilities, prediction sets and a decision, where the run has a validation split.
    :param engine: also build a TensorRT engine for these cards beside the file; needs no GPU.
    :return: the file and its comparison with the trained weights.
    :raises UsageError: an unknown precision, a parameter of another type, or options that contradict each other.
    :raises ParityError: the file would be over the limits; nothing is written then.
    :raises InputRejected: pictures are missing, or too few to calibrate with.
    :raises DermedgeError: no run there, no weights yet, a package is not installed, or no engine can be built.
    """
    check_options(precision, target, sensitivity=sensitivity)
    flavour = target or "cpu"
    with extras("export"):
        from dermedge.training.run import opened
        from dermedge_export.engine.build import engine_builder
        from dermedge_export.pipeline import DEFAULT_ASKED, export_model
    _check_types(limits, engine)
    build = None if engine is None else engine_builder(engine, precision, flavour, any_size=any_size)
    run = opened(run_of("run", run))
    file = path_of("models", models) / file_name(_name(run), precision, flavour, any_size=any_size)
    file, folder = file if path is None else path_of("path", path), None if data is None else path_of("data", data)
    _check_places(file, run.inputs(folder))
    model = export_model(
        *(run, run.samples(folder), precision, file),
        explain=explanations,
        flavour=flavour,
        limits=limits,
        sensitivity=sensitivity,
        any_size=any_size,
        ig_steps=ig_steps,
        asked=DEFAULT_ASKED if calibration else None,
    )
    return model if build is None else replace(model, engine=build(model.path))


def _check_types(limits: Any, engine: Any) -> None:
    from dermedge_export.check.parity import Limits
    from dermedge_export.engine.target import EngineTarget

    check_type("limits", limits, Limits)
    check_type("engine", engine, EngineTarget)


def _check_places(file: Path, inputs: Sequence[Path]) -> None:
    from dermedge_export.model_json import json_path

    require_folder_place(file.parent, "the model file")
    for path_to in (Path, json_path):  # in this order: a folder such as . has no name to make the other of
        path = path_to(file)
        if path.is_dir():
            raise UsageError(f"{path} is a folder, and an export writes a file there; name another file.")
        refuse_overwriting(path, inputs)


def _name(run: Run) -> str:
    return run_name(run.config.image_branch, run.config.fusion)


def file_name(name: str, precision: str, flavour: str = "cpu", *, any_size: bool = False) -> str:
    """Name of a model file, such as cross_attention-int8-rtx.onnx or efficientnet_lite0-gated-fp16-any-size.onnx.

    :param name: of its run, as `run_name` gives it.
    """
    kind = "-rtx" if precision == "int8" and flavour == "rtx" else ""
    return f"{name}-{precision}{kind}{'-any-size' if any_size else ''}.onnx"


def check_options(precision: str, target: str | None, *, sensitivity: bool) -> None:
    """Refuse an unknown precision or target, and options that are for INT8 alone.

    :raises UsageError: one of them.
    """
    check_known("precision", precision, PRECISIONS)
    if target is not None:
        check_known("target", target, TARGETS)
    if target and precision != "int8":
        raise UsageError("--target chooses between two kinds of INT8 file: add --int8, or leave it out.")
    if sensitivity and precision != "int8":
        raise UsageError("--sensitivity measures what INT8 changes: add --int8, or leave it out.")
