"""`dermedge infer` for any number of pictures: the runtime's options, and those for many patients."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge.require import how_to_install, missing_packages
from dermedge_runtime.commands import infer_command as one_patient
from dermedge_runtime.commands.command_parser import CommandParser
from dermedge_runtime.commands.folder_content import SUFFIXES
from dermedge_runtime.commands.option_types import path, path_text, whole_number
from dermedge_runtime.commands.picture_files import STANDARD_INPUT
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import DermedgeError, UsageError

from . import SUMMARY

if TYPE_CHECKING:
    from .job import BatchJob

_MANY = ("table", "columns", "id", "strict", "recursive", "out", "overwrite", "fhir", "workers", "ray")
"""Options that one patient's pictures have no use for."""

_NEXT_PAIR = re.compile(r",(?=[^,=]+=)")
"""A column's name may have commas of its own."""
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def parser() -> CommandParser:
    """Define the options."""
    defined = one_patient.parser(SUMMARY)
    defined.heading("Many patients")
    defined.option(
        "--table", path_text, metavar="PATH", help="Table of patients: CSV, Excel or Parquet; one row for each picture."
    )
    defined.option(
        "--columns", metavar="NAME=COLUMN,...", many=True, help="Where the table has image, or a field of the model."
    )
    defined.option("--id", metavar="COLUMN", help="Column of the table that is carried into the results.")
    defined.flag("--strict", help="Pictures without a row, and rows without a picture, are an error.")
    defined.flag("--recursive", help="Open the folders inside folders too.")
    defined.option(
        "--out", path_text, metavar="PATH", help="Write results to a .csv, .jsonl, .parquet or .xlsx, or go on with it."
    )
    defined.flag("--overwrite", help="Begin the file of --out anew.")
    defined.option("--fhir", path, metavar="PATH", help="Folder for a FHIR DiagnosticReport of every picture.")
    defined.option(
        "--workers", whole_number(1), metavar="NUMBER", help="Threads that read; by default as many as CPUs."
    )
    defined.option(
        "--ray", metavar="ADDRESS", help="Many machines: auto, local or HOST:PORT of Ray; --out names a folder then."
    )
    return defined


def run(arguments: Sequence[str]) -> int:
    """Run `dermedge infer`.

    :param arguments: what follows the word.
    :return: the exit code.
    :raises DermedgeError: whatever is refused.
    """
    options = parser().parse(arguments)
    if options is None:
        return 0
    if not _is_for_many(options):
        return one_patient.infer_as_asked(options)
    from .job import BatchJob
    from .print_batch import print_batch
    from .run_batch import run_batch

    if not options.images:
        raise UsageError("Name the pictures, or the folder that they are in: dermedge infer FOLDER")
    job = BatchJob(
        inputs=tuple(options.images),
        recursive=options.recursive,
        clinical=one_patient.clinical_values(options),
        table=_path(options.table),
        columns=_columns(options.columns),
        id=options.id,
        strict=options.strict,
        out=_path(options.out),
        overwrite=options.overwrite,
        explain=options.explain,
        target=options.target,
        overlays=options.overlays,
        report=options.report,
        fhir=options.fhir,
        workers=options.workers,
    )
    if options.ray is not None:
        return _run_cluster(options, job)
    _refuse_addresses(options)
    if options.out is not None and STANDARD_INPUT in options.images:
        raise UsageError("Standard input (-) is one picture without a name; save it to a file for --out.")
    execute = print_batch if options.out is None else run_batch
    return execute(job, one_patient.opened_model(options), as_json=options.as_json)


def _run_cluster(options: Namespace, job: BatchJob) -> int:
    from dermedge_runtime.model.exported_models import newest_or_boxed_model

    from .cluster.addresses import without_file_scheme
    from .cluster.run_cluster import ClusterJob, run_cluster

    if options.out is None:
        raise UsageError("--ray writes into a folder; name it with --out.")
    if missing := missing_packages("ray"):
        named = ", ".join(missing)
        raise DermedgeError(f"--ray needs what is not installed here: {named}. {how_to_install(missing, 'ray')}")
    model = options.model or newest_or_boxed_model(options.models)
    inputs = tuple(map(without_file_scheme, job.inputs))
    table = None if options.table is None else without_file_scheme(options.table)
    out = without_file_scheme(options.out)
    wanted = ClusterJob(replace(job, inputs=inputs, table=None), table, out, options.ray, model, options.device)
    return run_cluster(wanted, as_json=options.as_json)


def _refuse_addresses(options: Namespace) -> None:
    for text in (*options.images, options.table, options.out):
        if text is not None and _ADDRESS.match(text) and not os.path.lexists(text):
            raise UsageError(f"Addresses, such as {shown(text)}, are read and written with --ray, such as --ray local.")


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _is_for_many(options: Namespace) -> bool:
    """Tell whether this is more than one patient's plain pictures, or pictures that the runtime does not read."""
    if any(getattr(options, name) not in (None, False, []) for name in _MANY):
        return True
    named = [name for name in options.images if name != STANDARD_INPUT]
    return any(os.path.isdir(name) or _needs_another_reader(name) for name in named)


def _needs_another_reader(name: str) -> bool:
    if name.lower().endswith(tuple(SUFFIXES)):
        return False
    from .readable import is_dicom, is_heic  # here: plain pictures need not wait for it

    return is_heic(name) or is_dicom(name)


def _columns(texts: Sequence[str]) -> dict[str, str]:
    columns: dict[str, str] = {}
    for pair in (part for text in texts for part in _NEXT_PAIR.split(text)):
        name, equals, column = pair.partition("=")
        if not (equals and name.strip() and column):
            raise UsageError(f"--columns takes NAME=COLUMN, such as image=Photo,age=Alter, got '{pair}'.")
        if name.strip() in columns:
            raise UsageError(f"--columns names {name.strip()} twice.")
        columns[name.strip()] = column
    return columns
