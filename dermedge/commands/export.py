"""`dermedge export`: a run in, one model file out, and an engine beside it if that is asked for."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dermedge.api import export as api
from dermedge.api.evaluate import MODELS
from dermedge.api.train import RUNS
from dermedge.require import extras
from dermedge_export.graph.ig_steps import DEFAULT_STEPS, MOST_STEPS
from dermedge_runtime.errors import UsageError

from .option_values import any_text, choice, option, path, whole
from .shared_options import (
    FUSION,
    IMAGE_BRANCH,
    OUTPUT_PANEL,
    AsJson,
    Data,
    Fusion,
    ImageBranch,
    MaxDrop,
    MinAgreement,
    MinHeatmap,
    Models,
    RunPath,
    Runs,
    print_json,
    run_folder,
)

if TYPE_CHECKING:
    from dermedge_export.pipeline import ExportedModel

_log = logging.getLogger(__name__)
_PRECISION_PANEL, _ENGINE_PANEL = "Precision", "TensorRT engine"


_Fp16 = Annotated[bool, option(_PRECISION_PANEL, "Image branch in half precision.", "--fp16")]
_Int8 = Annotated[bool, option(_PRECISION_PANEL, "Image branch in INT8, calibrated on training images.", "--int8")]
_Target = Annotated[
    str | None,
    option(_PRECISION_PANEL, "What INT8 is quantised for; by default the CPU.", **choice("cpu", "rtx")),
]
_Sensitivity = Annotated[
    bool, option(_PRECISION_PANEL, "With --int8: what quantising each layer alone changes.", "--sensitivity")
]
_NoExplanations = Annotated[
    bool, option(OUTPUT_PANEL, "Leave heat map and clinical relevance out of the file.", "--no-explanations")
]
_AnySize = Annotated[
    bool, option(OUTPUT_PANEL, "The graph takes pictures of any size and resizes them as Pillow does.", "--any-size")
]
_IgSteps = Annotated[
    int | None,
    option(OUTPUT_PANEL, f"Steps of the integrated gradients; by default {DEFAULT_STEPS}.", **whole(1, MOST_STEPS)),
]
_NoCalibration = Annotated[
    bool, option(OUTPUT_PANEL, "Leave calibration, prediction sets and decision out.", "--no-calibration")
]
_Triton = Annotated[
    Path | None,
    option(OUTPUT_PANEL, "Also into this model repository of NVIDIA's Triton server.", "--triton", **path("folder")),
]
_Engine = Annotated[
    bool, option(_ENGINE_PANEL, "Also a TensorRT-RTX engine beside the file; needs no GPU.", "--engine")
]
_Gpus = Annotated[
    str | None,
    option(_ENGINE_PANEL, "Cards of the engine, as rtx4060; by default RTX 30, 40, 50.", "--gpu", **any_text("cards")),
]
_Capabilities = Annotated[
    str | None,
    option(_ENGINE_PANEL, "The same by number, as 8.9,12.0.", "--compute-capability", **any_text("numbers")),
]
_MaxBatch = Annotated[
    int | None,
    option(_ENGINE_PANEL, "Largest batch of the engine; by default 32.", **whole(1, 1024)),
]


def export(
    fusion: Fusion = FUSION,
    image_branch: ImageBranch = IMAGE_BRANCH,
    run: RunPath = None,
    runs: Runs = RUNS,
    data: Data = None,
    models: Models = MODELS,
    fp16: _Fp16 = False,
    int8: _Int8 = False,
    target: _Target = None,
    sensitivity: _Sensitivity = False,
    min_agreement: MinAgreement = None,
    max_drop: MaxDrop = None,
    min_heatmap: MinHeatmap = None,
    engine: _Engine = False,
    gpus: _Gpus = None,
    capabilities: _Capabilities = None,
    max_batch: _MaxBatch = None,
    no_explanations: _NoExplanations = False,
    any_size: _AnySize = False,
    ig_steps: _IgSteps = None,
    no_calibration: _NoCalibration = False,
    triton: _Triton = None,
    as_json: AsJson = False,
) -> None:
    """Write one self-describing ONNX file, after comparing it with the trained weights.

    The comparison is made on held-back images. A file that differs by more than the limits is not written.

    Examples:
      dermedge export --int8
      dermedge export --fusion gated --fp16 --models /srv/models
      dermedge export --image-branch efficientnet_lite0 --fusion concat --int8
      dermedge export --int8 --any-size
      dermedge export --int8 --target rtx --engine --gpu rtx4060
    """
    from dermedge_export.engine.target import engine_target

    precision = _precision(fp16, int8)
    api.check_options(precision, target, sensitivity=sensitivity)
    cards = {"gpus": gpus, "capabilities": capabilities}
    wanted = engine_target(precision, target or "cpu", engine=engine, **cards, max_batch=max_batch, any_size=any_size)
    with extras("export"):
        from dermedge_export.check.parity import limits_from_percent
    model = api.export(
        run_folder(run, runs, fusion, image_branch),
        precision,
        target=target,
        models=models,
        data=data,
        explanations=not no_explanations,
        limits=limits_from_percent(precision, min_agreement, max_drop, min_heatmap),
        sensitivity=sensitivity,
        any_size=any_size,
        ig_steps=ig_steps,
        calibration=not no_calibration,
        engine=wanted,
    )
    if triton is not None:
        from dermedge_export.triton_repository import write_triton

        _log.info("model repository of Triton: %s", write_triton(model.path, triton))
    if as_json:
        print_json(model.to_record())
    else:
        _print_model(model)


def _precision(fp16: bool, int8: bool) -> str:
    if fp16 and int8:
        raise UsageError("--fp16 and --int8 exclude each other: one file has one precision. Export twice.")
    return "fp16" if fp16 else "int8" if int8 else "fp32"


def _print_model(model: ExportedModel) -> None:
    from dermedge.decision_text import calibration_text
    from dermedge.tables import sensitivity_text
    from dermedge_runtime.model.model_file import read_model_file

    typer.echo(f"{model.path}: {model.bytes / 1e6:.1f} MB, {model.parity.summary()}")
    if kept := model.conversion.get("float32_layers"):
        typer.echo(f"in float32: {', '.join(kept)}")
    if "sensitivity" in model.conversion:
        typer.echo("\n" + sensitivity_text(model.conversion["sensitivity"]))
    typer.echo(calibration_text(read_model_file(model.path).spec))
    if model.engine:
        typer.echo(model.engine.summary())
