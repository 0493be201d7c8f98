"""The command line: options in, functions called, results printed. Results on standard output, everything else on
standard error.

Exit codes: 0 fine, 1 failed, 2 usage, 3 input rejected, 4 model file invalid, 5 device not available, 130 interrupted.
Heavy packages are imported inside the commands, so that `dermedge --help` and `dermedge infer` stay fast.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from dermedge_runtime.devices.opening import DEVICES
from dermedge_runtime.errors import DermedgeError, UsageError

from . import __version__
from .commands.card import card
from .commands.compare import compare
from .commands.engine_options import engine_options
from .commands.option_types import ChoiceList, FilePath, FiniteRange, NumberList
from .commands.train_options import train_options
from .require import extras

MAX_BATCH = 1024  # largest batch of an exported graph
_Command = TypeVar("_Command", bound=Callable[..., Any])


def main() -> None:
    """Run the command line and turn every foreseen error into one sentence and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A file name that the terminal's encoding lacks must not end in a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _log("dermedge: stopped.")
        sys.exit(130)
    except DermedgeError as error:
        _log(f"dermedge: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of standard output went away, as `| head` does; the interpreter must not flush into it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        _log(f"dermedge: {error.strerror or error}{f': {error.filename}' if error.filename else ''}.")
        sys.exit(1)


def _log(line: str) -> None:
    click.echo(line, err=True)


def _print_json(record: Any) -> None:
    click.echo(json.dumps(record, indent=2, allow_nan=False))


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="dermedge")
def cli() -> None:
    """Train a skin-lesion classifier on image and clinical data, export it to one file, run it anywhere.

    Research use only: not a medical device, not for diagnosis.
    """


def _run_options(command: _Command) -> _Command:
    """Options that name a run and its data."""
    command = click.option("--data", type=FilePath(), help="Data folder; by default the run's own.")(command)
    command = click.option("--run", "run_path", type=FilePath(), help="Run folder; by default RUNS/FUSION.")(command)
    command = runs_option(command)
    return click.option("--fusion", default="cross_attention", show_default=True, help="Fusion of the run.")(command)


def _show_runtime_log() -> None:
    from dermedge_runtime.commands.runtime_log import show_runtime_log

    show_runtime_log(_log)


cli.add_command(card)
cli.add_command(compare)
runs_option = click.option("--runs", default="runs", type=FilePath(), show_default=True, help="Folder of all runs.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
models_option = click.option(
    "--models", default="models", type=FilePath(), show_default=True, help="Folder of exported models."
)


def _open_run(run_path: Path | None, runs: Path, fusion: str) -> Any:
    from .models.fusion import fusion_class
    from .training.run_folder import RunFolder

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
        from .training.training_job import run_training_job
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
        from dermedge.evaluation.evaluate_run import evaluate_run, part_title

        from .tables import metrics_text
    _show_runtime_log()
    record = evaluate_run(_open_run(run_path, runs, fusion), models, part, device, data=data, flips=flips, log=_log)
    if as_json:
        _print_json(record)
        return
    for name, scores in record["results"].items():
        click.echo(metrics_text(f"{name}, {part_title(record)}", scores) + "\n")


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
        from dermedge_export.check.parity import limits_from_percent
        from dermedge_export.engine.build import write_engine
        from dermedge_export.engine.tensorrt_library import load_tensorrt
        from dermedge_export.pipeline import export_model

        from .tables import sensitivity_text
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
@click.argument("images", nargs=-1, type=click.Path())
@click.option("--model", type=FilePath(), help="Model file; by default the newest in MODELS, or the one in the box.")
@models_option
@click.option("--age", type=float, help="Years.")
@click.option("--sex", help="female or male.")
@click.option("--site", help="Site of the lesion, such as back.")
@click.option("--field", "fields", multiple=True, metavar="NAME=VALUE", help="Any other clinical field of the model.")
@click.option("--explain", is_flag=True, help="Also the clinical relevance, and IMAGE.heatmap.png in OVERLAYS.")
@click.option("--overlays", type=FilePath(), help="Folder for --explain.  [default: overlays]")
@click.option("--target", metavar="CLASS", help="Explain this class; by default the predicted one.")
@click.option("--report", type=FilePath(), help="Write one self-contained HTML page.")
@click.option("--device", default="auto", show_default=True, type=click.Choice(DEVICES))
@json_option
def infer(
    images: tuple[str, ...],
    model: Path | None,
    models: Path,
    age: float | None,
    sex: str | None,
    site: str | None,
    fields: tuple[str, ...],
    device: str,
    **options: Any,
) -> None:
    """Classify images of one patient, all in a folder, or - for standard input; whatever is left out is unknown."""
    from dermedge_runtime.classifier import Classifier
    from dermedge_runtime.commands.infer import infer as run_infer
    from dermedge_runtime.model.exported_models import newest_or_boxed_model

    _show_runtime_log()
    clinical = _clinical(age=age, sex=sex, site=site, fields=fields)
    classifier = Classifier(model or newest_or_boxed_model(models, _log), device)
    sys.exit(run_infer(classifier, images, clinical, show=click.echo, log=_log, **options))


def _clinical(*, fields: tuple[str, ...], **named: Any) -> dict[str, Any]:
    clinical = {name: value for name, value in named.items() if value is not None}
    for text in fields:
        name, separator, value = text.partition("=")
        if not separator:
            raise UsageError(f"--field takes NAME=VALUE, got '{text}'.")
        if name in clinical:
            raise UsageError(f"The field {name} is given twice.")
        clinical[name] = value
    return clinical


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
        from dermedge.evaluation.explain_run import explain_run

        from .tables import explain_text
    record = explain_run(_open_run(run_path, runs, fusion), log=_log, **options)
    if as_json:
        _print_json(record)
    else:
        click.echo(explain_text(record))


@cli.command()
@click.argument("models", nargs=-1, required=True, type=FilePath())
@click.option(
    "--devices", default="cpu,openvino", show_default=True, type=ChoiceList(DEVICES[1:]), help="Comma-separated."
)
@click.option(
    "--batch", "batches", default="1,32", show_default=True, type=NumberList(1, MAX_BATCH), help="Comma-separated."
)
@click.option("--image", type=FilePath(), help="Picture to read; by default a generated 600 x 450 JPEG.")
@click.option("--run", "run_path", type=FilePath(), help="Run whose weights torch runs; by default found.")
@runs_option
@click.option("--rounds", default=30, show_default=True, type=click.IntRange(3), help="Timed turns of every contender.")
@click.option("--cuda-graphs", is_flag=True, help="Also with CUDA graphs, on devices that have them.")
@click.option("--cold/--no-cold", default=True, show_default=True, help="Also time whole processes and their memory.")
@click.option("--out", default="bench.json", type=FilePath(), show_default=True, help="Where the JSON goes.")
@json_option
def bench(
    models: tuple[Path, ...], devices: list[str], batches: list[int], out: Path, as_json: bool, **options: Any
) -> None:
    """Compare model files, and torch where it is installed, in one run: latency, cold start, memory, size."""
    from dermedge_runtime.files import refuse_overwriting, write_json

    from .bench.bench import benchmark
    from .bench.report import bench_text

    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file.")
    image, run = options["image"], options["run_path"]
    refuse_overwriting(out, [*models, *([image] if image else []), *(run.glob("*") if run else [])])
    _show_runtime_log()
    record = benchmark(list(models), devices, batches, log=_log, **options)
    write_json(out, record)
    if as_json:
        _print_json(record)
    else:
        click.echo(bench_text(record))
        _log(f"written to {out}")


@cli.command()
@click.argument("model", type=FilePath(), required=False)
@json_option
def inspect(model: Path | None, as_json: bool) -> None:
    """Print everything a model file, or an engine's description, says about itself; by default the model in the box."""
    from dermedge_runtime.commands.inspection import inspection_record, inspection_text
    from dermedge_runtime.model.model_file import read_model_file
    from dermedge_runtime.model.shipped_model import model_in_the_box

    model = model or model_in_the_box()
    if model.suffix.lower() == ".engine":
        from dermedge_export.engine.engine_file import inspect_engine

        record, findings = inspect_engine(model)
        for finding in findings:
            _log(finding)
    else:
        record = inspection_record(read_model_file(model))
    if as_json:
        _print_json(record)
    else:
        click.echo(inspection_text(record))


@cli.command()
@click.option("--device", type=click.Choice(DEVICES[1:]), help="Check this one only.")
@json_option
def doctor(device: str | None, as_json: bool) -> None:
    """Tell what is installed, which devices really run, what is wrong, and how to mend it."""
    from dermedge_runtime.commands.doctor import doctor_text, examine, exit_code

    record = examine([device] if device else None)
    if as_json:
        _print_json(record)
    else:
        click.echo(doctor_text(record))
    sys.exit(exit_code(record, device))


@cli.command()
@click.option("--folder", default="demo", type=FilePath(), show_default=True, help="Where everything goes.")
@click.option("--epochs", default=6, show_default=True, type=click.IntRange(1))
def demo(folder: Path, epochs: int) -> None:
    """Do the whole main job on generated pictures: train, evaluate, export, infer, bench."""
    with extras("export"):
        from .commands.demo import run_demo
    run_demo(folder, epochs, log=_log, show=click.echo)


if __name__ == "__main__":
    main()
