"""The commands of the workshop, as one group: options in, functions called, results printed.

They need the extra `train` or `export`; the dispatcher imports this module for their words alone. Heavy packages are
imported inside the commands, so that `dermedge train --help` stays fast.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from dermedge.require import extras
from dermedge_runtime.devices.providers import DEVICES
from dermedge_runtime.errors import UsageError

from .card import card
from .compare import compare
from .engine_options import engine_options
from .option_types import FilePath, FiniteRange
from .train_options import train_options

_Command = TypeVar("_Command", bound=Callable[..., Any])


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    :param arguments: its word, then its options.
    :return: the exit code.
    :raises DermedgeError: whatever the command refuses.
    """
    try:
        return int(cli.main(list(arguments), prog_name="dermedge", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort as error:
        raise KeyboardInterrupt from error


def _log(line: str) -> None:
    click.echo(line, err=True)


def _print_json(record: Any) -> None:
    click.echo(json.dumps(record, indent=2, allow_nan=False))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def cli() -> None:
    """Train, evaluate, export, explain and compare skin-lesion classifiers."""


def _run_options(command: _Command) -> _Command:
    """Options that name a run and its data."""
    command = click.option("--data", type=FilePath(), help="Data folder; by default the run's own.")(command)
    command = click.option("--run", "run_path", type=FilePath(), help="Run folder; by default RUNS/FUSION.")(command)
    command = runs_option(command)
    return click.option("--fusion", default="cross_attention", show_default=True, help="Fusion of the run.")(command)


cli.add_command(card)
cli.add_command(compare)
runs_option = click.option("--runs", default="runs", type=FilePath(), show_default=True, help="Folder of all runs.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
models_option = click.option(
    "--models", default="models", type=FilePath(), show_default=True, help="Folder of exported models."
)


def _open_run(run_path: Path | None, runs: Path, fusion: str) -> Any:
    from dermedge.models.fusion import fusion_class
    from dermedge.training.run_folder import RunFolder

    fusion_class(fusion)
    return RunFolder(run_path or runs / fusion)


@cli.command()
@_run_options
@train_options
@click.option(
    "--schema", default="ham10000", show_default=True, help="Of the data: ham10000, pad_ufes_20 or a .toml file."
)
@click.option("--allow-missing-images", is_flag=True, help="Leave rows out whose image is absent.")
@click.option("--start-from", type=FilePath(), help="Run whose best weights to start from, whole or its image branch.")
@click.option("--freeze-image-branch", is_flag=True, help="Keep that image branch; train the rest on its features.")
@click.option(
    "--feature-views", default=8, show_default=True, type=click.IntRange(0, 64), help="Augmented copies it then sees."
)
@click.option("--compile/--no-compile", "compiled", default=False, show_default=True, help="torch.compile, for GPUs.")
@click.option("--resume", is_flag=True, help="Go on after the run's last whole epoch, with the run's settings.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier run of the same name.")
@click.pass_context
def train(context: click.Context, /, run_path: Path | None, runs: Path, **options: Any) -> None:
    """Train one fusion; the defaults are the paper's settings."""
    with extras():
        from dermedge.training.training_job import run_training_job
    run = _open_run(run_path, runs, options["fusion"])
    given = {n for n in options if context.get_parameter_source(n) is not click.core.ParameterSource.DEFAULT}
    run_training_job(run, options, given, log=_log)


@cli.command()
@_run_options
@models_option
@click.option("--split", "part", default="test", show_default=True, type=click.Choice(["test", "validation"]))
@click.option("--device", default="cpu", show_default=True, type=click.Choice(DEVICES), help="Where model files run.")
@click.option("--flips", is_flag=True, help="Mean over the picture, its mirror images and its half turn.")
@json_option
def evaluate(
    fusion: str,
    runs: Path,
    run_path: Path | None,
    data: Path | None,
    models: Path,
    part: str,
    device: str,
    flips: bool,
    as_json: bool,
) -> None:
    """Evaluate the trained weights and every model file made from them; without one, a temporary FP32 file."""
    with extras("export"):
        from dermedge.evaluation.evaluate import evaluate_run
        from dermedge.tables import metrics_text
    found = evaluate_run(_open_run(run_path, runs, fusion), models, part, device, data=data, flips=flips, log=_log)
    if as_json:
        _print_json(found.to_record())
        return
    for name, scores in found.results.items():
        click.echo(metrics_text(f"{name}, {found.title}", scores) + "\n")


@cli.command()
@_run_options
@models_option
@click.option("--fp16", is_flag=True, help="Image branch in half precision.")
@click.option("--int8", is_flag=True, help="Image branch in INT8, calibrated on training images.")
@click.option("--target", type=click.Choice(["cpu", "rtx"]), help="What INT8 is quantised for; by default the CPU.")
@engine_options
@click.option("--sensitivity", is_flag=True, help="With --int8: also show what quantising each layer alone changes.")
@click.option("--no-explanations", is_flag=True, help="Leave heat map and clinical relevance out of the file.")
@click.option("--min-agreement", type=FiniteRange(0, 100), help="Least class agreement, percent.")
@click.option("--max-drop", type=FiniteRange(0, 100), help="Largest loss of balanced accuracy, points.")
@click.option("--min-heatmap", type=FiniteRange(-1, 1), help="Least median correlation of the heat maps.")
@json_option
def export(
    fusion: str,
    runs: Path,
    run_path: Path | None,
    data: Path | None,
    models: Path,
    fp16: bool,
    int8: bool,
    target: str | None,
    sensitivity: bool,
    no_explanations: bool,
    min_agreement: float | None,
    max_drop: float | None,
    min_heatmap: float | None,
    as_json: bool,
    **engine_settings: Any,
) -> None:
    """Write one self-describing ONNX file, after comparing it with the trained weights on held-back images."""
    if fp16 and int8:
        raise UsageError("--fp16 and --int8 exclude each other: one file has one precision. Export twice.")
    if target and not int8:
        raise UsageError("--target chooses between two kinds of INT8 file: add --int8, or leave it out.")
    if sensitivity and not int8:
        raise UsageError("--sensitivity measures what INT8 changes: add --int8, or leave it out.")
    precision, flavour = "fp16" if fp16 else "int8" if int8 else "fp32", target or "cpu"
    from dermedge_export.engine.target import engine_target

    wanted = engine_target(precision, flavour, **engine_settings)
    with extras("export"):
        from dermedge.tables import sensitivity_text
        from dermedge_export.check.parity import limits_from_percent
        from dermedge_export.engine.build import write_engine
        from dermedge_export.engine.tensorrt_library import load_tensorrt
        from dermedge_export.pipeline import export_model
    tensorrt = load_tensorrt(wanted) if wanted else None
    run = _open_run(run_path, runs, fusion)
    samples = run.samples(data, _log)
    path = models / f"{run.config().fusion}-{precision}{'-rtx' if flavour == 'rtx' else ''}.onnx"
    limits = limits_from_percent(precision, min_agreement, max_drop, min_heatmap)
    settings: dict[str, Any] = {"explain": not no_explanations, "flavour": flavour, "limits": limits}
    report = export_model(run, samples, precision, path, **settings, sensitivity=sensitivity, log=_log)
    built = write_engine(path, wanted, tensorrt, _log) if wanted and tensorrt else None
    if as_json:
        _print_json(report.to_record() | ({"engine": built.to_record()} if built else {}))
        return
    click.echo(f"{report.path}: {report.bytes / 1e6:.1f} MB, {report.parity.summary()}")
    if kept := report.conversion.get("float32_layers"):
        click.echo(f"in float32: {', '.join(kept)}")
    if "sensitivity" in report.conversion:
        click.echo("\n" + sensitivity_text(report.conversion["sensitivity"]))
    if built:
        click.echo(built.summary())


@cli.command()
@_run_options
@models_option
@click.option("--per-class", default=3, show_default=True, type=click.IntRange(1, 12), help="Images of the gallery.")
@click.option("--limit", default=30, show_default=True, type=click.IntRange(1), help="Images per class of the tables.")
@click.option("--masks", is_flag=True, help="Compare the heat maps with the data folder's lesion masks.")
@json_option
def explain(fusion: str, runs: Path, run_path: Path | None, as_json: bool, **options: Any) -> None:
    """Explain test images of a run: a gallery of heat maps, clinical relevance per class, agreement with masks."""
    with extras("export"):
        from dermedge.evaluation.explain import explain_run
        from dermedge.tables import explain_text
    record = explain_run(_open_run(run_path, runs, fusion), log=_log, **options)
    if as_json:
        _print_json(record)
    else:
        click.echo(explain_text(record))


@cli.command()
@click.option("--folder", default="demo", type=FilePath(), show_default=True, help="Where everything goes.")
@click.option("--epochs", default=6, show_default=True, type=click.IntRange(1))
def demo(folder: Path, epochs: int) -> None:
    """Do the whole main job on generated pictures: train, evaluate, export, infer, bench."""
    with extras("export"):
        from .demo import run_demo
    run_demo(folder, epochs, log=_log, show=click.echo)
