"""`dermedge card`: a model file and its run in, the model card out."""

from __future__ import annotations

from pathlib import Path

import click

from dermedge.require import extras
from dermedge_runtime.errors import UsageError

from .option_types import FilePath


def _log(line: str) -> None:
    click.echo(line, err=True)


@click.command()
@click.argument("model", type=FilePath())
@click.option("--run", required=True, type=FilePath(), help="Run folder that the file was exported from.")
@click.option("--data", type=FilePath(), help="Data folder; by default the run's own.")
@click.option("--note", "notes", multiple=True, help="A paragraph on data or training; may be given several times.")
@click.option("--out", type=FilePath(), help="Where the card goes; by default beside the file, with .md at its end.")
def card(model: Path, run: Path, data: Path | None, notes: tuple[str, ...], out: Path | None) -> None:
    """Measure a model file on its run's test split and write its card.

    Figures with intervals by lesion, per class and per group of patients; data, licence, training and limits.
    """
    with extras("export"):
        from dermedge.evaluation.card import model_card
        from dermedge.training.run_folder import RunFolder
    from dermedge_runtime.files import refuse_overwriting, write_text

    out = out or model.with_suffix(".md")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file.")
    refuse_overwriting(out, [model, *RunFolder(run).own_files()])
    write_text(out, model_card(RunFolder(run), model, data=data, notes=notes, log=_log))
    _log(f"written to {out}")
