"""All pictures counted before the first is read, and joined with the table: what is missing is known at the start."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dermedge_runtime.classifier import Classifier
from dermedge_runtime.commands.picture_files import STANDARD_INPUT, StandardInput
from dermedge_runtime.commands.shown_names import shown
from dermedge_runtime.errors import InputRejected, UsageError
from dermedge_runtime.inputs.clinical import ClinicalSchema, ClinicalValue
from dermedge_runtime.inputs.later_picture import LaterPicture
from dermedge_runtime.inputs.patients import read_patient

from .found_picture import FoundPicture
from .job import BatchJob
from .readable import pictures_in
from .refused_picture import RefusedPicture
from .table.find_columns import find_columns
from .table.join import Join
from .table.patient_table import PatientTable
from .table.read_table import TableFile
from .walk import FoundFile, Walk

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchPicture:
    """One picture, and everything that is known before it is read."""

    path: str
    relative: str
    """Path that is mirrored below folders of outputs; of a frame, with its number."""
    frame: int | None
    picture: LaterPicture
    clinical: dict[str, ClinicalValue]
    id: str | None
    """What the table's id column has for it."""


@dataclass(frozen=True, slots=True)
class Census:
    """What the pictures of a job are."""

    walk: Walk
    files: int
    fields: ClinicalSchema
    clinical: dict[str, ClinicalValue]
    """Values of all patients."""
    join: Join | None

    def pictures(self, done: Callable[[str, int | None], bool] = lambda path, frame: False) -> Iterator[BatchPicture]:
        """Walk through the pictures again, none of them read.

        :param done: tells by path and frame which ones are to be passed over.
        """
        for file in self.walk:
            if file.refused:
                if not done(file.path, None):
                    refused = RefusedPicture(file.path, file.refused)
                    yield BatchPicture(file.path, file.relative, None, refused, {}, None)
                continue
            for found in _pictures_of(file.path, self.fields):
                if not done(found.path, found.frame):
                    relative = file.relative if found.frame is None else f"{file.relative}.frame-{found.frame}"
                    yield self._joined(file, relative, found.picture, dict(found.clinical), found.frame)

    def gone(self) -> bool:
        """Tell whether a folder that was named is not there any more."""
        return not all(os.path.isdir(folder) for folder in self.walk.left_out)

    def _joined(
        self, file: FoundFile, relative: str, picture: LaterPicture, own: dict[str, ClinicalValue], frame: int | None
    ) -> BatchPicture:
        """Put together what is known of a patient: values of all come first, then the table, then the file itself."""
        clinical, carried = own, None
        if self.join is not None:
            try:
                row = self.join.row_of(file)
                if row is not None:
                    table = self.join.table
                    carried = table.id_of(row)
                    given = table.values(row)
                    clinical |= {name: value for name, value in given.items() if value or name not in clinical}
                    _require_usable(self.fields, given, table.place_of(row))
            except InputRejected as error:
                picture, clinical = RefusedPicture(file.path, str(error)), {}
        return BatchPicture(file.path, relative, frame, picture, clinical | self.clinical, carried)


def _pictures_of(path: str, fields: ClinicalSchema) -> list[FoundPicture]:
    if path == STANDARD_INPUT:
        return [FoundPicture(path, _FromStandardInput())]
    return pictures_in(path, fields)


class _FromStandardInput:
    """Standard input, read when its turn comes."""

    name = STANDARD_INPUT

    def fetch(self) -> bytes:
        return StandardInput().read()


def take_census(job: BatchJob, classifier: Classifier) -> Census:
    """Count the pictures, read the table, and say what does not fit.

    :raises InputRejected: no picture at all, or a table that cannot be used; with --strict also anything unmatched.
    :raises UsageError: a value for all patients that the table has too.
    :raises DermedgeError: a folder is gone.
    """
    fields = classifier.spec.clinical
    join = None if job.table is None else Join(_table(job, classifier))
    walk, files = Walk(job.inputs, job.recursive), 0
    refused: list[str] = []
    for file in walk:
        if file.refused:
            refused.append(file.refused)
            continue
        files += 1
        if join is not None:
            join.count(file)
    if not files:
        raise InputRejected(" ".join(refused))
    for folder, left in walk.left_out.items():
        if left and left.pictures:
            _log.warning("%s", left.sentence(folder))
    unmatched = [] if join is None else join.sentences()
    if unmatched and job.strict:
        raise InputRejected(" ".join((*unmatched, "Nothing was predicted, because --strict was asked for.")))
    for sentence in unmatched:
        _log.warning("%s", sentence)
    return Census(walk, files, fields, dict(job.clinical), join)


def _table(job: BatchJob, classifier: Classifier) -> PatientTable:
    assert job.table is not None
    file, fields = TableFile(job.table), classifier.spec.clinical
    trained_on = classifier.spec.training.get("columns")
    found = find_columns(
        file.columns,
        fields.names,
        table=file.name,
        given=job.columns,
        schema=trained_on if isinstance(trained_on, dict) else {},
        id_column=job.id,
    )
    if both := [name for name in job.clinical if name in found.fields]:
        column = shown(found.fields[both[0]])
        raise UsageError(
            f"{both[0]} is given for all patients, and {file.name} has it in the column {column}: give one."
        )
    table = PatientTable(file, found, fields)
    told = ", ".join(f"{name} in {shown(column)}" for name, column in {"image": found.image, **found.fields}.items())
    _log.info("%s (%s): %s", file.name, ", ".join(filter(None, (f"{len(table):,} rows", file.how))), told)
    if absent := [name for name in fields.names if name not in found.fields and name not in job.clinical]:
        _log.warning("%s has no column for %s: unknown for all its patients.", file.name, " and ".join(absent))
    return table


def _require_usable(fields: ClinicalSchema, values: dict[str, ClinicalValue], place: str) -> None:
    try:
        read_patient(fields, values)
    except InputRejected as error:
        raise InputRejected(f"{place}: {error}") from error
