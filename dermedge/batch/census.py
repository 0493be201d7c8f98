"""All pictures counted before the first is read, and joined with the table: what is missing is known at the start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

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
    """Path of its file below the folder that was named."""
    frame: int | None
    picture: LaterPicture
    clinical: dict[str, ClinicalValue]
    id: str | None
    """What the table's id column has for it."""

    @property
    def mirrored(self) -> str:
        """Path below a folder of outputs, which no other picture has: of a frame, with its number."""
        return self.relative if self.frame is None else f"{self.relative}.frame-{self.frame}"


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file, and what is known of its patient before it is opened."""

    path: str
    relative: str
    is_file: bool = True
    """False: a folder that could not be read, which stands for itself."""
    refused: str = ""
    """Why its pictures are of no use; empty: nothing speaks against them yet."""
    given: Mapping[str, ClinicalValue] = field(default_factory=dict)
    """What the table says of the patient."""
    id: str | None = None

    def pictures(self, fields: ClinicalSchema) -> list[FoundPicture]:
        """Give its pictures, none of them read yet.

        :param fields: of the model.
        """
        if not self.is_file:
            return [FoundPicture(self.path, RefusedPicture(self.path, self.refused))]
        if self.path == STANDARD_INPUT:
            return [FoundPicture(self.path, _FromStandardInput())]
        return pictures_in(self.path, fields)

    def with_all(self, found: FoundPicture, of_all: Mapping[str, ClinicalValue]) -> BatchPicture:
        """Put together what is known of a picture: values of all come first, then the table, then the file itself.

        :param found: one of its pictures.
        :param of_all: values of all patients.
        """
        picture, clinical = found.picture, dict(found.clinical)
        if self.refused:
            picture, clinical = RefusedPicture(self.path, self.refused), {}
        clinical |= {name: value for name, value in self.given.items() if value or name not in clinical}
        return BatchPicture(self.path, self.relative, found.frame, picture, {**clinical, **of_all}, self.id)


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
            known: KnownFile | None = None
            for found in KnownFile(file.path, file.relative, not file.refused, file.refused).pictures(self.fields):
                if not done(found.path, found.frame):
                    known = known or self.known(file)
                    yield known.with_all(found, self.clinical)

    def known(self, file: FoundFile) -> KnownFile:
        """Look up what is known of a file before it is opened."""
        if file.refused or self.join is None:
            return KnownFile(file.path, file.relative, not file.refused, file.refused)
        carried, table = None, self.join.table
        try:
            if (row := self.join.row_of(file)) is None:
                return KnownFile(file.path, file.relative)
            carried, given = table.id_of(row), table.values(row)
            if fault := _fault(self.fields, tuple(given.items())):
                return KnownFile(file.path, file.relative, refused=f"{table.place_of(row)}: {fault}", id=carried)
        except InputRejected as error:
            return KnownFile(file.path, file.relative, refused=str(error), id=carried)
        return KnownFile(file.path, file.relative, given=given, id=carried)

    def gone(self) -> bool:
        """Tell whether a folder that was named is not there any more."""
        return not all(self.walk.is_folder(folder) for folder in self.walk.left_out)


class _FromStandardInput:
    """Standard input, read when its turn comes."""

    name = STANDARD_INPUT

    def fetch(self) -> bytes:
        return StandardInput().read()


def take_census(job: BatchJob, classifier: Classifier, walk: Walk | None = None) -> Census:
    """Count the pictures, read the table, and say what does not fit.

    :param walk: over the job's pictures; by default the one over files and folders.
    :raises InputRejected: no picture at all, or a table that cannot be used; with --strict also anything unmatched.
    :raises UsageError: a value for all patients that the table has too.
    :raises DermedgeError: a folder is gone.
    """
    fields = classifier.spec.clinical
    join = None if job.table is None else Join(_table(job, classifier))
    walk, files = walk or Walk(job.inputs, job.recursive), 0
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


@lru_cache(maxsize=4096)
def _fault(fields: ClinicalSchema, values: tuple[tuple[str, ClinicalValue], ...]) -> str:
    """Say why values cannot be used; empty: they can. Many patients of a table have the same."""
    try:
        read_patient(fields, dict(values))
    except InputRejected as error:
        return str(error)
    return ""
