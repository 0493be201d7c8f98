"""Many pictures into one results file: rows as they come, gone on with after any end, everything else beside them."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from dermedge_runtime.classifier import Classifier
from dermedge_runtime.commands import command_line
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import DermedgeError, InputRejected
from dermedge_runtime.files import refuse_overwriting
from dermedge_runtime.prediction import Rejection
from dermedge_runtime.result_row import Row

from .answers import Answer, answers
from .census import Census, take_census
from .interruption import Interruption, interruption
from .job import BatchJob
from .outputs import BatchOutputs
from .progress_line import ProgressLine
from .results.results_file import ResultsFile, check_target, open_results
from .summary import Summary

_log = logging.getLogger(__name__)
_PIECE = 8
"""Rows that are written at once."""
_TOLD = 10
"""Rejected pictures that are named as they come; the results name them all."""


def run_batch(
    job: BatchJob,
    classifier: Classifier,
    *,
    as_json: bool = False,
    show: Callable[[str], None] = command_line.show,
) -> int:
    """Answer all pictures of a job into its results file, and print what it came to.

    :param as_json: print that as one JSON object.
    :return: the exit code: 0, 3 where a picture was rejected, 130 after Ctrl-C, 143 after SIGTERM.
    :raises UsageError: options that contradict each other, or other ones than the results were begun with.
    :raises InputRejected: no picture, or a table that cannot be used.
    :raises DermedgeError: the results cannot be written, another process writes them, or a folder of pictures is gone.
    """
    assert job.out is not None
    check_target(job.out)
    job.check(classifier)
    refuse_overwriting(job.out, [*job.inputs, *([] if job.table is None else [job.table])])
    settings, columns = job.settings(classifier), job.result_columns(classifier)
    census = take_census(job, classifier)
    check_target(job.out, census.files)
    census.walk.require_each_once()
    summary = Summary(classifier.spec)
    try:
        with (
            interruption() as stop,
            open_results(job.out, columns, settings, overwrite=job.overwrite, earlier=summary.add_earlier) as results,
        ):
            _work(job, classifier, census, results, summary, stop)
            if not stop:
                results.finish()
            if job.report is not None:
                from .summary_page import write_summary_page

                write_summary_page(job.report, summary, classifier)
    except OSError as error:
        where = shown(str(error.filename or job.out))
        raise DermedgeError(
            f"{where} cannot be written: {error.strerror or error}. {summary.rows:,} rows are kept; once it can be"
            " written, the same command goes on where it stopped."
        ) from error
    show(json.dumps(summary.to_record()) if as_json else _closing(job.out, classifier, summary, stop))
    if stop:
        return stop.exit_code
    return InputRejected.exit_code if summary.rejected else 0


def _work(
    job: BatchJob,
    classifier: Classifier,
    census: Census,
    results: ResultsFile,
    summary: Summary,
    stop: Interruption,
) -> None:
    if summary.earlier:
        _log.info("%s has %s rows already: going on.", shown(str(job.out)), f"{summary.earlier:,}")
    outputs = BatchOutputs(job, classifier)
    progress, told = ProgressLine(max(0, census.files - summary.earlier)), summary.rejected + _TOLD
    coming = answers(
        census.pictures(done=results.index.has),
        classifier,
        target=job.target,
        explain=job.explain,
        workers=job.workers,
    )
    with closing(coming), closing(outputs):
        for piece in outputs.written(_pieces(coming, stop)):
            rows = _rows(piece, results, census)
            results.append(rows)
            for row in rows:
                summary.add(row)
                if row["error"] and summary.rejected <= told:
                    progress.clear()
                    more = " More are only in the results." if summary.rejected == told else ""
                    _log.warning("%s%s", shown(str(row["error"])), more)
            progress.add(len(rows))
            if len(rows) < len(piece):
                census.walk.require_folders()
    progress.clear()


def _pieces(coming: Iterator[Answer], stop: Interruption) -> Iterator[list[Answer]]:
    while not stop and (piece := list(islice(coming, _PIECE))):
        yield piece


def _rows(piece: list[tuple[Answer, Path | None]], results: ResultsFile, census: Census) -> list[Row]:
    """Give the rows of a piece; up to the first picture that is missing because its whole folder is."""
    rows: list[Row] = []
    for answer, overlay in piece:
        if isinstance(answer.result, Rejection) and not Path(answer.picture.path).exists() and census.gone():
            break
        row = answer.row(results.columns)
        if "overlay" in row and overlay is not None:
            row["overlay"] = str(overlay)
        rows.append(row)
    return rows


def _closing(out: Path, classifier: Classifier, summary: Summary, stop: Interruption) -> str:
    where = f"{classifier.provider}, {classifier.provider_version}; {classifier.hardware}"
    kept = f"{shown(str(out))}: {summary.rows:,} rows"
    if stop:
        kept += ", not all; the same command goes on where this one stopped"
    return "\n".join(
        (
            summary.text(),
            kept,
            f"{classifier.name} on {classifier.device} ({where}). {classifier.spec.intended_use}",
        )
    )
