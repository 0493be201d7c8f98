"""The commands of the edge, as one group."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dermedge_runtime.devices.opening import DEVICES
from dermedge_runtime.errors import UsageError

from .option_types import ChoiceList, FilePath, NumberList

MAX_BATCH = 1024  # largest batch of an exported graph


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    :param arguments: its word, then its options.
    :return: the exit code.
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
    """Run model files."""


runs_option = click.option("--runs", default="runs", type=FilePath(), show_default=True, help="Folder of all runs.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
models_option = click.option(
    "--models", default="models", type=FilePath(), show_default=True, help="Folder of exported models."
)


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
) -> int:
    """Classify images of one patient, all in a folder, or - for standard input; whatever is left out is unknown."""
    from dermedge_runtime.classifier import Classifier
    from dermedge_runtime.commands.infer import infer as run_infer
    from dermedge_runtime.model.exported_models import newest_or_boxed_model

    clinical = _clinical(age=age, sex=sex, site=site, fields=fields)
    classifier = Classifier(model or newest_or_boxed_model(models, _log), device)
    return run_infer(classifier, images, clinical, show=click.echo, log=_log, **options)


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
    from dermedge.bench.bench import benchmark
    from dermedge.bench.report import bench_text
    from dermedge_runtime.files import refuse_overwriting, write_json

    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file.")
    image, run = options["image"], options["run_path"]
    refuse_overwriting(out, [*models, *([image] if image else []), *(run.glob("*") if run else [])])
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
        from dermedge_runtime.model.engine_description import inspect_engine

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
def doctor(device: str | None, as_json: bool) -> int:
    """Tell what is installed, which devices really run, what is wrong, and how to mend it."""
    from dermedge_runtime.commands.doctor import doctor_text, examine, exit_code

    record = examine([device] if device else None)
    if as_json:
        _print_json(record)
    else:
        click.echo(doctor_text(record))
    return exit_code(record, device)
